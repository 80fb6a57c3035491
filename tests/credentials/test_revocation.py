"""A leaked key is inactive at once, and replaced where it was in use."""

from __future__ import annotations

from pathlib import Path

import pytest

from cml_iam import errors
from cml_iam.credentials import revoke
from cml_iam.credentials._keys import create_key
from tests.credentials.rotations import one
from tests.provision.worlds import USER


def test_the_stored_key_is_revoked_and_replaced(tmp_path: Path) -> None:
    scene = one(tmp_path / "x")
    assert scene.start is not None
    scene.iam.sign_in(scene.start).identity()

    done = revoke(scene.rotator(), scene.start.id)

    assert scene.iam.keys[scene.start.id].status == "Inactive"
    assert done.replacement in scene.iam.keys
    assert scene.stored_works()
    assert done.use.when is not None


def test_it_is_inactive_before_anything_else_happens(tmp_path: Path) -> None:
    scene = one(tmp_path / "x")
    assert scene.start is not None
    scene.iam.calls.clear()

    revoke(scene.rotator(), scene.start.id)

    assert scene.iam.calls[:2] == ["list_access_keys", "update_access_key"]


def test_another_key_is_revoked_without_a_replacement(tmp_path: Path) -> None:
    scene = one(tmp_path / "x")
    other = create_key(scene.iam.admin(), USER, frozenset())

    done = revoke(scene.rotator(), other.id)

    assert done.replacement is None
    assert scene.iam.keys[other.id].status == "Inactive"
    assert scene.stored_works()


def test_without_room_the_revoked_key_makes_place_for_its_replacement(tmp_path: Path) -> None:
    scene = one(tmp_path / "x")
    assert scene.start is not None
    other = create_key(scene.iam.admin(), USER, frozenset())

    done = revoke(scene.rotator(), scene.start.id)

    assert done.deleted
    assert set(scene.iam.keys) == {other.id, done.replacement}
    assert scene.iam.keys[other.id].status == "Active"
    assert scene.stored_works()


def test_where_it_cannot_be_replaced_it_is_inactive_all_the_same(tmp_path: Path) -> None:
    scene = one(tmp_path / "x")
    assert scene.start is not None
    scene.iam.denied = {"create_access_key"}

    with pytest.raises(errors.DeniedError):
        revoke(scene.rotator(), scene.start.id)

    assert scene.iam.keys[scene.start.id].status == "Inactive"


def test_a_key_of_somebody_else_is_refused_and_the_users_named(tmp_path: Path) -> None:
    scene = one(tmp_path / "x")
    assert scene.start is not None

    with pytest.raises(errors.InputError, match=scene.start.id):
        revoke(scene.rotator(), "AKIAIOSFODNN7EXAMPLE")
