"""The promises of a site: what its policies must never permit, as questions over all requests.

A call of RunInstances is allowed only if every resource is:
https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ExamplePolicies_EC2.html#iam-example-runinstances
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from cml_iam.catalogue import Permission, load_catalogue
from cml_iam.facts import PARTITIONS, REGION, Assumption, known_regions, service
from cml_iam.policy import PolicyDocument, Shape, load_policy, merged
from cml_iam.prove._answers import Verdict
from cml_iam.prove._question import never
from cml_iam.render import render_policy
from cml_iam.restrict import RUN, Promise, permissions, promises_of
from cml_iam.space import Policies

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cml_iam.site import Site

CATALOGUE: Final = "catalogue"
"""If this promise holds, the promises about some actions cover everything the policies allow.
"""


def site_promises(site: Site) -> tuple[Promise, ...]:
    """Return everything that the restrictions of *site* promise, in order."""
    return tuple(_promises(site))


def _promises(site: Site) -> Iterator[Promise]:
    allowed = permissions(site)
    others = (Shape(not_actions=tuple(permission.action for permission in allowed)),)
    yield Promise(
        "within-base",
        "nothing beyond the documented policy is allowed",
        others,
        "within",
        reference=_base(allowed),
    )
    yield Promise(CATALOGUE, "no action outside the permission catalogue is allowed", others)
    yield from promises_of(site)


def _base(allowed: Sequence[Permission]) -> PolicyDocument:
    """Return the documented policy, with the site's additional grants."""
    documented = render_policy(None, "base").document
    granted = [permission.action for permission in allowed[len(load_catalogue().permissions) :]]
    if not granted:
        return documented
    statement = {"Effect": "Allow", "Action": granted, "Resource": "*"}
    text = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    more = load_policy(json.loads(text), "granted").statements
    return PolicyDocument((*documented.statements, *more), documented.version, name="base")


WHOLE: Final = Assumption(
    "resource",
    "all resources of ec2:RunInstances",
    "a launch needs an image, an instance, a network interface, a security group and a subnet, "
    "all of them allowed",
    "https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ExamplePolicies_EC2.html",
)


def never_done(policies: Policies, shape: Shape) -> Verdict:
    """Prove that requests of *shape* have no effect: none of another action is allowed.

    A launch needs several requests, each about one resource; it has no effect if no region allows
    all of them.
    """
    found = never(policies, shape)
    if not found.witness or found.witness.request.action != RUN or not _is_about_all(shape):
        return found
    if any(_is_possible(policies, shape, region) for region in _regions(policies, found)):
        return found
    impossible = [v for each in _needed(shape) if (v := never(policies, each)).holds]
    if not impossible:
        reason = "could not find a region in which everything that a launch needs is allowed"
        return Verdict("undecided", None, found.assumptions, reason)
    used = (*impossible[0].assumptions, WHOLE)
    others = never(policies, _without_launches(shape))
    return others._replace(assumptions=tuple(dict.fromkeys((*others.assumptions, *used))))


def _is_about_all(shape: Shape) -> bool:
    return tuple(shape.resources) == ("*",) and shape.not_resources is None


def _regions(policies: Policies, found: Verdict) -> Iterator[str]:
    if found.witness:
        yield found.witness.request.resource.split(":")[3]
    for partition in (policies.partition,) if policies.partition else PARTITIONS:
        yield from known_regions(partition)


def _is_possible(policies: Policies, shape: Shape, region: str) -> bool:
    here = {"StringEquals": {REGION: region}}
    needed = (replace(e, conditions=merged(e.conditions, here)) for e in _needed(shape))
    return all(never(policies, each).answer == "broken" for each in needed)


def _needed(shape: Shape) -> Iterator[Shape]:
    """Yield the requests of *shape* for each resource type that a launch needs."""
    ec2 = service("ec2")
    action = ec2.action("RunInstances") if ec2 else None
    for target in action.targets if action else ():
        if target.required:
            yield Shape((RUN,), (f"arn:*:ec2:*:*:{target.type}/*",), shape.conditions)


def _without_launches(shape: Shape) -> Shape:
    if shape.not_actions is not None:
        return replace(shape, not_actions=(*shape.not_actions, RUN))
    others = tuple(action for action in shape.actions if action != RUN)
    return (
        replace(shape, actions=others) if "*" not in others else replace(shape, not_actions=(RUN,))
    )
