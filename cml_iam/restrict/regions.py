"""The manager works only in these regions."""

from __future__ import annotations

from collections.abc import Iterator

from cml_iam.facts import Assumption
from cml_iam.policy import Shape
from cml_iam.restrict._options import REGION, Option, Restricted, list_of
from cml_iam.restrict._row import KeyTest, Promise, Restriction, Rule, listing, permissions

KEY = "aws:RequestedRegion"
_PAGE = (
    "https://docs.aws.amazon.com/IAM/latest/UserGuide/"
    "reference_policies_condition-keys.html#condition-keys-requestedregion"
)


def _inside(site: Restricted) -> KeyTest:
    return KeyTest(KEY, site.restrict.regions)


def _rules(site: Restricted) -> Iterator[Rule]:
    anywhere = [each.action for each in permissions(site) if each.any_region]
    yield Rule("DenyOutsideRegions", (_inside(site),), "*", type="", not_actions=anywhere)


def _promises(site: Restricted) -> Iterator[Promise]:
    """Promise that no action works in another region; the catalogue's make the better examples.

    Calls with the same answer in every region (DescribeRegions) may be sent to any.
    """
    elsewhere = _inside(site).fails
    regional = tuple(each.action for each in permissions(site) if not each.any_region)
    actions = tuple(each.action for each in permissions(site))
    anywhere = " and ".join(each for each in actions if each not in regional)
    text = f"{anywhere} may be used in any region, as it is the same everywhere"
    yield Promise(
        "regions",
        f"nothing is done outside {listing(site.restrict.regions)}",
        (
            Shape(regional, conditions=elsewhere),
            Shape(not_actions=actions, conditions=elsewhere),
        ),
        closing=_inside(site).holds,
        limits=(Assumption("limit", "regions", text, _PAGE),) if anywhere else (),
    )


REGIONS = Restriction(
    name="regions",
    main=True,
    splits=False,
    options=(
        Option(
            "regions",
            {"description": "Regions the manager may act in.", **list_of(REGION)},
            tuple,
        ),
    ),
    rules=_rules,
    promises=_promises,
)
