"""Render the base and the hardened policy."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from cml_iam.catalogue import Catalogue, load_catalogue
from cml_iam.errors import CmlIamError, DocumentError, InputError, QuotaError
from cml_iam.policy import MANAGED_POLICY_CHARACTERS, PolicyDocument, parse_policy, policy_size
from cml_iam.render._environment import environment
from cml_iam.site import Site

Profile = Literal["base", "hardened"]
PROFILES: Final[tuple[Profile, ...]] = ("base", "hardened")


@dataclass(frozen=True, slots=True)
class RenderedPolicy:
    """A rendered document: its JSON *text*, the same parsed, and which profile it is."""

    profile: Profile
    text: str
    document: PolicyDocument

    @property
    def size(self) -> int:
        """The characters that count towards IAM's quota."""
        return policy_size(self.text)


def render_policy(site: Site | None, profile: Profile = "hardened") -> RenderedPolicy:
    """Render *profile* for *site*; the base profile needs no site.

    The hardened document replaces the base and enforces the restrictions of the site, those and
    no others. The same input gives the same bytes. Raises InputError when the site is missing,
    QuotaError when the document is larger than a managed policy may be.
    """
    if profile == "base":
        return _rendered(profile, _render("base.json.j2", {"catalogue": load_catalogue()}))
    if site is None:
        raise InputError("the hardened policy needs a site file")
    return _rendered(profile, _render("hardened.json.j2", _values(site, load_catalogue())))


def _render(template: str, values: Mapping[str, Any]) -> str:
    """Return the template's JSON, laid out, without empty conditions."""
    value = json.loads(environment().get_template(template).render(values))
    for statement in value["Statement"]:
        if statement.get("Condition") == {}:
            del statement["Condition"]
    return json.dumps(value, indent=2) + "\n"


def _rendered(profile: Profile, text: str) -> RenderedPolicy:
    try:
        document = parse_policy(text, profile)
    except DocumentError as error:
        raise CmlIamError(f"the {profile} template makes no valid policy: {error}") from error
    rendered = RenderedPolicy(profile, text, document)
    if rendered.size > MANAGED_POLICY_CHARACTERS:
        raise QuotaError(
            f"the {profile} policy has {rendered.size} characters; a managed policy may have"
            f" {MANAGED_POLICY_CHARACTERS}",
            remedy="list fewer regions, instance types or images, or restrict images by owner",
        )
    return rendered


def _values(site: Site, catalogue: Catalogue) -> dict[str, Any]:
    """Return what the hardened template speaks of."""
    restrict, tag = site.restrict, site.restrict.guard_tag
    by_owner = [each for each in restrict.regions if each not in restrict.images]
    return {
        "reads": lambda service, any_region=False: _reads(catalogue, service, any_region),
        "operations": [
            each.action
            for each in catalogue.permissions
            if each.access == "Write" and each.name != "RunInstances"
        ],
        "tagging": [each.action for each in catalogue.permissions if each.access == "Tagging"],
        "arn": lambda kind: _arn(site, kind),
        "any_image": _arn(site, "image"),
        "listed_images": [
            f"arn:{site.partition}:ec2:{region}::image/{image}"
            for region, images in restrict.images.items()
            for image in images
        ],
        "supporting_resources": _supporting(site, catalogue),
        "taggable_at_launch": [
            _arn(site, each.type) for each in catalogue.permission("ec2:CreateTags").resources
        ],
        "in_regions": _in_regions(restrict.regions),
        "in_regions_by_owner": _in_regions(by_owner),
        "regions_by_owner": bool(by_owner) or not restrict.regions,
        "outside_listed_regions": {} if restrict.regions else _in_regions(restrict.images),
        "guard_tag": tag,
        "has_tag": {f"aws:ResourceTag/{tag.key}": tag.value} if tag else {},
        "sets_tag": {f"aws:RequestTag/{tag.key}": tag.value} if tag else {},
        "instance_types": restrict.instance_types,
        "images": restrict.images,
        "image_owners": restrict.image_owners,
    }


def _reads(catalogue: Catalogue, service: str, any_region: bool) -> list[str]:
    return [
        each.action
        for each in catalogue.permissions
        if each.service == service and not each.resources and each.any_region == any_region
    ]


def _supporting(site: Site, catalogue: Catalogue) -> list[str]:
    resources = catalogue.permission("ec2:RunInstances").resources
    return [_arn(site, each.type) for each in resources if each.type not in ("image", "instance")]


def _arn(site: Site, kind: str) -> str:
    """Return the ARN of every resource of *kind*; images belong to no account in ARNs."""
    account = "" if kind == "image" else site.account
    return f"arn:{site.partition}:ec2:*:{account}:{kind}/*"


def _in_regions(regions: Any) -> dict[str, list[str]]:
    return {"aws:RequestedRegion": list(regions)} if regions else {}
