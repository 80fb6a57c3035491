"""Render the base and the hardened policy."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from cml_iam.catalogue import Catalogue, Permission, load_catalogue
from cml_iam.errors import CmlIamError, DocumentError, InputError, QuotaError
from cml_iam.policy import MANAGED_POLICY_CHARACTERS, PolicyDocument, parse_policy, policy_size
from cml_iam.render._environment import environment
from cml_iam.site import Restrictions, Site

Profile = Literal["base", "hardened"]
PROFILES: Final[tuple[Profile, ...]] = ("base", "hardened")

LAUNCH_RESTRICTIONS: Final = frozenset(
    {
        "guard_tag",
        "instance_types",
        "images",
        "subnets",
        "security_groups",
        "imdsv2",
        "on_demand_only",
        "encrypted_volumes",
    }
)
"""The restrictions on one resource type of a launch: with any, RunInstances is split by type."""


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
    permissions = (*catalogue.permissions, *catalogue.granted(site.grant.active))
    others = tuple(each for each in restrict.regions if each not in restrict.images)
    return {
        "restrict": restrict,
        "guard_tag": tag,
        "restricts_images": "images" in restrict.active,
        "split_launch": bool(restrict.active & LAUNCH_RESTRICTIONS),
        "reads": lambda service, any_region=False: _reads(permissions, service, any_region),
        "operations": _operations(permissions, restrict),
        "tagging": [each.action for each in permissions if each.access == "Tagging"],
        "arn": lambda kind: every(site, kind),
        "listed_images": listed_images(site),
        "subnets": [f"arn:{site.partition}:ec2:*:*:subnet/{each}" for each in restrict.subnets],
        "supporting_resources": _supporting(site, catalogue),
        "taggable_at_launch": [
            every(site, each.type) for each in catalogue.permission("ec2:CreateTags").resources
        ],
        "in_regions": in_regions(restrict.regions),
        "in_other_image_regions": in_regions(others),
        "other_image_regions": bool(others) or not restrict.regions,
        "outside_listed_regions": {} if restrict.regions else in_regions(restrict.images),
        "has_tag": {f"aws:ResourceTag/{tag.key}": tag.value} if tag else {},
        "sets_tag": {f"aws:RequestTag/{tag.key}": tag.value} if tag else {},
        "image_has_tag": _image_has_tag(restrict),
        "passed_role": passed_role(site),
        "ec2_service": ec2_service(site),
    }


def every(site: Site, kind: str) -> str:
    """Return the ARN of every EC2 resource of *kind*; images belong to no account in ARNs."""
    account = "" if kind == "image" else site.account
    return f"arn:{site.partition}:ec2:*:{account}:{kind}/*"


def listed_images(site: Site) -> list[str]:
    """Return the ARNs of the images that the site lists."""
    return [
        f"arn:{site.partition}:ec2:{region}::image/{image}"
        for region, images in site.restrict.images.items()
        for image in images
    ]


def passed_role(site: Site) -> str | None:
    """Return the ARN of the one role that may be handed to a worker."""
    name = site.grant.pass_role
    return f"arn:{site.partition}:iam::{site.account}:role/{name}" if name else None


def ec2_service(site: Site) -> str:
    """Return EC2's name as a service principal in the site's partition."""
    return "ec2.amazonaws.com.cn" if site.partition == "aws-cn" else "ec2.amazonaws.com"


def in_regions(regions: Iterable[str]) -> dict[str, list[str]]:
    """Return the condition that the request goes to one of *regions*; empty for none."""
    listed = list(regions)
    return {"aws:RequestedRegion": listed} if listed else {}


def _reads(permissions: Iterable[Permission], service: str, any_region: bool) -> list[str]:
    return [
        each.action
        for each in permissions
        if each.service == service and not each.resources and each.any_region == any_region
    ]


def _operations(permissions: Iterable[Permission], restrict: Restrictions) -> list[str]:
    elsewhere = {"ec2:RunInstances", "iam:PassRole"}
    if restrict.mfa_to_terminate:
        elsewhere.add("ec2:TerminateInstances")
    return [e.action for e in permissions if e.access == "Write" and e.action not in elsewhere]


def _supporting(site: Site, catalogue: Catalogue) -> list[str]:
    """Return what a launch may use beside the instance, the image and what has its own rule."""
    restrict = site.restrict
    elsewhere = {"image", "instance"}
    if restrict.subnets:
        elsewhere |= {"subnet", "network-interface"}
    if restrict.encrypted_volumes:
        elsewhere.add("volume")
    if restrict.security_groups:
        elsewhere.add("security-group")
    groups = [
        f"arn:{site.partition}:ec2:*:{site.account}:security-group/{each}"
        for each in restrict.security_groups
    ]
    resources = catalogue.permission("ec2:RunInstances").resources
    return [every(site, each.type) for each in resources if each.type not in elsewhere] + groups


def _image_has_tag(restrict: Restrictions) -> dict[str, str]:
    tag = restrict.image_tag
    return {f"aws:ResourceTag/{tag.key}": tag.value} if tag else {}
