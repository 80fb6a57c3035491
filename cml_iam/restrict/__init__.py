"""Restrictions, as data: rows that name actions, resource types, condition keys and values."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from cml_iam.restrict import calls, launch
from cml_iam.restrict._options import Contradiction, Grants, Restricted, Restrictions
from cml_iam.restrict._row import (
    RUN,
    Case,
    KeyTest,
    Only,
    Promise,
    Restriction,
    Rule,
    Situation,
    names,
    operations,
    own,
    permissions,
)
from cml_iam.restrict.calls import GRANTED
from cml_iam.restrict.guard_tag import GUARD_TAG, launch_note, send_fix
from cml_iam.restrict.images import IMAGES
from cml_iam.tag import Tag

RESTRICTED: Final = (
    calls.REGIONS,
    GUARD_TAG,
    launch.INSTANCE_TYPES,
    IMAGES,
    launch.SUBNETS,
    launch.SECURITY_GROUPS,
    calls.SOURCE_IPS,
    launch.IMDSV2,
    launch.ON_DEMAND_ONLY,
    launch.ENCRYPTED_VOLUMES,
    calls.MFA_TO_TERMINATE,
)
"""The rows of `[restrict]`, in reading order."""

ROWS: Final = (*RESTRICTED, *GRANTED)

RESTRICTIONS: Final = tuple(row.name for row in RESTRICTED if row.main)
"""The four main restrictions, by their names in the site file; `images` is by id, owner or tag."""

OPTIONS: Final = tuple(row.name for row in RESTRICTED if not row.main)
"""Further restrictions, by their names in the site file."""

GRANTS: Final = tuple(row.name for row in GRANTED)

LAUNCH_RESTRICTIONS: Final = frozenset(row.name for row in RESTRICTED if row.splits)
"""The restrictions on one resource type of a launch; with any, RunInstances is split by type."""


def restrictions_from(raw: Mapping[str, Any], account: str) -> Restrictions:
    """Return the values of `[restrict]`, which the schema has accepted, for *account*.

    The image owner `self` becomes *account*: EC2 sends the account's id as ec2:Owner.
    """
    restrictions = Restrictions(**_values(RESTRICTED, raw))
    owners = (account if owner == "self" else owner for owner in restrictions.image_owners)
    return replace(restrictions, image_owners=tuple(dict.fromkeys(owners)))


def grants_from(raw: Mapping[str, Any]) -> Grants:
    """Return the values of `[grant]`, which must conform to the schema."""
    return Grants(**_values(GRANTED, raw))


def _values(rows: Iterable[Restriction], raw: Mapping[str, Any]) -> dict[str, Any]:
    options = (option for row in rows for option in row.options)
    return {option.name: option.read(raw[option.name]) for option in options if option.name in raw}


def splits_launch(site: Restricted) -> bool:
    """Return whether RunInstances is split by resource type."""
    return bool(site.restrict.active & LAUNCH_RESTRICTIONS)


def rules_of(site: Restricted) -> tuple[Rule, ...]:
    """Return the rules of all restrictions that *site* has."""
    return tuple(rule for row in ROWS if row.active(site) for rule in row.rules(site))


def resources_of(site: Restricted) -> dict[str, Only]:
    """Return the resources that *site* lists for a launch, by type; it may use no others."""
    rows = (row for row in ROWS if row.active(site))
    return {only.type: only for row in rows for only in row.resources(site)}


def promises_of(site: Restricted) -> Iterator[Promise]:
    """Yield the promises of the restrictions of *site*."""
    for row in ROWS:
        if row.active(site):
            yield from row.promised(site)
        if row is IMAGES and splits_launch(site):
            yield launch.launch_promise(site)


def contradictions_of(site: Restricted) -> Iterator[Contradiction]:
    """Yield the contradictions among the restrictions of *site*."""
    for row in ROWS:
        if row.active(site):
            yield from row.contradictions(site)
