"""The promises of a site: what its policies must never permit, as questions over all requests."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Final

from cml_iam.catalogue import Permission, load_catalogue
from cml_iam.facts import Assumption, service_principal
from cml_iam.policy import PolicyDocument, load_policy
from cml_iam.prove._launch_promises import launch_promises
from cml_iam.prove._promise import Conditions, Promise, listing
from cml_iam.prove._tag_promises import tag_promises
from cml_iam.render import render_policy
from cml_iam.site import Restrictions, Site
from cml_iam.space import Shape

CATALOGUE: Final = "catalogue"
"""The promise by which those about some actions are about all that the policies allow."""

REGION_KEY: Final = (
    "https://docs.aws.amazon.com/IAM/latest/UserGuide/"
    "reference_policies_condition-keys.html#condition-keys-requestedregion"
)


def site_promises(site: Site) -> tuple[Promise, ...]:
    """Return everything that the restrictions of *site* promise, in order."""
    return tuple(_promises(site))


def _promises(site: Site) -> Iterator[Promise]:
    restrict, permissions = site.restrict, _permissions(site)
    others = (Shape(not_actions=tuple(each.action for each in permissions)),)
    yield Promise(
        "within-base",
        "nothing beyond the documented policy is allowed",
        "within",
        others,
        reference=_base(permissions),
    )
    yield Promise(
        CATALOGUE, "no action outside the permission catalogue is allowed", "never", others
    )
    if restrict.regions:
        yield _regions(restrict, permissions)
    yield from launch_promises(site)
    if restrict.guard_tag:
        yield from tag_promises(site, restrict.guard_tag, permissions)
    yield from _options(site)


def _permissions(site: Site) -> tuple[Permission, ...]:
    catalogue = load_catalogue()
    return (*catalogue.permissions, *catalogue.granted(site.grant.active))


def _base(permissions: Sequence[Permission]) -> PolicyDocument:
    """Return the documented policy, with what the site grants beyond it."""
    documented = render_policy(None, "base").document
    granted = [each.action for each in permissions[len(load_catalogue().permissions) :]]
    if not granted:
        return documented
    statement = {"Effect": "Allow", "Action": granted, "Resource": "*"}
    text = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    more = load_policy(json.loads(text), "granted").statements
    return PolicyDocument((*documented.statements, *more), documented.version, name="base")


def _regions(restrict: Restrictions, permissions: Sequence[Permission]) -> Promise:
    """Promise that no action works in another region; the catalogue's are the better examples.

    What AWS answers the same everywhere (DescribeRegions) may be asked of any region.
    """
    regions = list(restrict.regions)
    key = "aws:RequestedRegion"
    elsewhere = {"StringNotEquals": {key: regions}}
    regional = tuple(each.action for each in permissions if not each.any_region)
    others = tuple(each.action for each in permissions)
    anywhere = " and ".join(each for each in others if each not in regional)
    text = f"{anywhere} may be used in any region, as it is the same everywhere"
    return Promise(
        "regions",
        f"nothing is done outside {listing(regions)}",
        "never",
        (
            Shape(regional, conditions=elsewhere),
            Shape(not_actions=others, conditions=elsewhere),
        ),
        closing={"StringEquals": {key: regions}},
        limits=(Assumption("limit", "regions", text, REGION_KEY),) if anywhere else (),
    )


def _options(site: Site) -> Iterator[Promise]:
    restrict = site.restrict
    if restrict.mfa_to_terminate:
        absent = {"BoolIfExists": {"aws:MultiFactorAuthPresent": "false"}}
        yield Promise(
            "mfa-to-terminate",
            "nothing is terminated without MFA",
            "never",
            (Shape(("ec2:TerminateInstances",), conditions=absent),),
            closing={"Bool": {"aws:MultiFactorAuthPresent": "true"}},
        )
    if restrict.source_ips:
        yield _from_elsewhere(restrict)
    if site.grant.pass_role:
        yield _passed(site, site.grant.pass_role)


def _from_elsewhere(restrict: Restrictions) -> Promise:
    ranges = list(restrict.source_ips)
    elsewhere: Conditions = {
        "NotIpAddress": {"aws:SourceIp": ranges},
        "BoolIfExists": {"aws:ViaAWSService": "false"},
    }
    return Promise(
        "source-ips",
        f"nothing is done from outside {listing(ranges)}",
        "never",
        (Shape(conditions=elsewhere),),
        closing={"IpAddress": {"aws:SourceIp": ranges}},
    )


def _passed(site: Site, name: str) -> Promise:
    service = service_principal("ec2", site.partition)
    role = f"arn:{site.partition}:iam::{site.account}:role/{name}"
    other = {"StringNotEquals": {"iam:PassedToService": service}}
    return Promise(
        "pass-role",
        f"no role but {name} is passed, and to EC2 alone",
        "never",
        (
            Shape(("iam:PassRole",), not_resources=(role,)),
            Shape(("iam:PassRole",), conditions=other),
        ),
        closing={"StringEquals": {"iam:PassedToService": service}},
    )
