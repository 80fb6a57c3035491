"""The promises of a site: what its policies must never permit, as questions over all requests."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Final

from cml_iam.catalogue import Permission, load_catalogue
from cml_iam.policy import PolicyDocument, Shape, load_policy
from cml_iam.render import render_policy
from cml_iam.restrict import Promise, permissions, promises_of
from cml_iam.site import Site

CATALOGUE: Final = "catalogue"
"""The promise by which those about some actions are about all that the policies allow."""


def site_promises(site: Site) -> tuple[Promise, ...]:
    """Return everything that the restrictions of *site* promise, in order."""
    return tuple(_promises(site))


def _promises(site: Site) -> Iterator[Promise]:
    allowed = permissions(site)
    others = (Shape(not_actions=tuple(each.action for each in allowed)),)
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
    """Return the documented policy, with what the site grants beyond it."""
    documented = render_policy(None, "base").document
    granted = [each.action for each in allowed[len(load_catalogue().permissions) :]]
    if not granted:
        return documented
    statement = {"Effect": "Allow", "Action": granted, "Resource": "*"}
    text = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    more = load_policy(json.loads(text), "granted").statements
    return PolicyDocument((*documented.statements, *more), documented.version, name="base")
