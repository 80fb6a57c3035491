"""The history of the policy ends with what is rendered now."""

from __future__ import annotations

from datetime import date

import pytest

from cml_iam import catalogue
from cml_iam.catalogue import PolicyVersion, load_catalogue, load_history, upgrade
from cml_iam.errors import InputError

DAY = date(2026, 1, 1)


def test_the_last_version_has_the_whole_catalogue() -> None:
    """A permission whose `since` is no version would be in none."""
    current, permissions = load_history()[-1], load_catalogue()

    assert current.actions == permissions.actions
    assert dict(current.optional) == {
        grant: permission.action for grant, permission in permissions.options
    }


def test_a_withdrawn_permission_is_in_the_versions_before_and_may_be_revoked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gone = {"action": "ec2:Old", "since": "1.0", "until": "1.1"}
    shipped = {**catalogue._shipped(), "withdrawn": [gone]}
    monkeypatch.setattr(catalogue, "_shipped", lambda: shipped)
    load_history.cache_clear()

    way = upgrade("1.0")
    load_history.cache_clear()

    assert way.revoke == ("ec2:Old",)


def test_the_first_entry_is_the_documented_one() -> None:
    first = load_history()[0]

    assert (first.version, first.date) == ("1.0", date(2025, 11, 16))
    assert first.changes == "Initial policy with EC2 and CloudWatch permissions"
    assert len(first.actions) == 12
    assert first.optional == {}


def test_versions_and_dates_rise() -> None:
    history = load_history()

    numbers = [tuple(map(int, version.version.split("."))) for version in history]
    assert numbers == sorted(set(numbers))
    assert [version.date for version in history] == sorted(version.date for version in history)


def test_from_1_0_nothing_must_be_granted() -> None:
    way = upgrade("1.0")

    assert way.grant == ()
    assert way.revoke == ()
    assert set(way.optional) == set(load_history()[-1].optional)


def test_what_is_new_must_be_granted_and_what_is_gone_may_be_taken_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    history = (
        PolicyVersion("1.0", DAY, "", ("a:Kept", "a:Gone", "a:NowOptional"), {"x": "a:Old"}),
        PolicyVersion("1.1", DAY, "", ("a:Kept",), {}),
        PolicyVersion("2.0", DAY, "", ("a:Kept", "a:New"), {"y": "a:NowOptional", "z": "a:Free"}),
    )
    monkeypatch.setattr(catalogue, "load_history", lambda: history)

    way = upgrade("1.0")

    assert way.grant == ("a:New",)
    assert way.revoke == ("a:Gone", "a:Old")
    assert way.optional == {"z": "a:Free"}
    assert (way.start.version, way.end.version) == ("1.0", "2.0")


def test_an_unknown_version_is_refused_with_those_there_are() -> None:
    with pytest.raises(InputError, match=r"`0\.9`"):
        upgrade("0.9")
