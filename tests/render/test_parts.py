"""A policy that is too large for one managed policy is split without a change of meaning."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cml_iam.errors import QuotaError
from cml_iam.policy import MANAGED_POLICY_CHARACTERS
from cml_iam.render import render_parts, render_policy
from cml_iam.site import Site
from tests.conftest import RESTRICTED
from tests.expectations.test_expectations import broken

TWENTY = tuple(
    f"{area}-{where}-{n}"
    for area in ("us", "eu")
    for where in ("east", "west", "north", "south", "central")
    for n in (1, 2)
)


def _site(regions: int, images: int) -> Site:
    listed = {
        region: tuple(f"ami-{number:08x}{image:09x}" for image in range(images))
        for number, region in enumerate(TWENTY[:regions])
    }
    restrict = replace(RESTRICTED, regions=tuple(listed), images=listed, image_owners=())
    return Site(account="111122223333", restrict=restrict)


@pytest.mark.parametrize(("regions", "images"), [(1, 1), (20, 1), (3, 50), (20, 20), (20, 45)])
def test_the_parts_together_mean_the_whole(regions: int, images: int) -> None:
    site = _site(regions, images)

    parts = render_parts(site)

    assert broken(site, *(part.document for part in parts)) == []
    assert all(part.size <= MANAGED_POLICY_CHARACTERS for part in parts)
    assert len(parts) <= 10


def test_what_fits_is_not_split(site: Site) -> None:
    (part,) = render_parts(site)

    assert part.text == render_policy(site).text


def test_the_parts_are_as_few_as_their_size_allows() -> None:
    parts = render_parts(_site(20, 20))

    total = sum(part.size for part in parts)
    assert len(parts) <= total // MANAGED_POLICY_CHARACTERS + 2


def test_sids_stay_unique() -> None:
    sids = [s.sid for part in render_parts(_site(20, 45)) for s in part.document.statements]

    assert len(sids) == len(set(sids))


def test_more_than_ten_parts_are_refused_with_the_number() -> None:
    with pytest.raises(QuotaError, match=r"needs \d\d managed policies; a principal may have 10"):
        render_parts(_site(20, 60))
