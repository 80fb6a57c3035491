"""Keys in IAM: told apart, made once, and what an interrupted run left."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from moto.iam.utils import generate_access_key_id_from_account_id

from cml_iam import errors
from cml_iam.credentials import account_of, key_use, list_keys
from cml_iam.credentials._keys import create_key
from cml_iam.credentials._rotation_state import Journal, read_journal, write_journal
from tests.provision.fake_iam import FakeIam, Principal
from tests.provision.worlds import USER, fake_world

if TYPE_CHECKING:
    from pathlib import Path


def account_with_user() -> FakeIam:
    return FakeIam(users={USER: Principal(USER, "/", {}, None)})


@settings(deadline=None)  # moto draws at random, slowly at first
@given(st.integers(min_value=0, max_value=10**12 - 1))
def test_the_account_is_read_from_the_id(number: int) -> None:
    account = f"{number:012d}"
    assert account_of(generate_access_key_id_from_account_id(account, "AKIA")) == account


@pytest.mark.parametrize("key", ["AKIAIOSFODNN7EXAMPLE", "", "AKIA", "AKIA" + "1" * 16, "x" * 20])
def test_an_id_that_does_not_say_gives_no_account(key: str) -> None:
    assert account_of(key) is None


def test_keys_are_listed_the_oldest_first_and_none_without_the_user() -> None:
    iam = account_with_user()
    made = [create_key(iam.admin(), USER, frozenset()).id for _ in range(2)]

    assert [key.id for key in list_keys(iam.admin(), USER)] == made
    assert list_keys(iam.admin(), "nobody") == ()


def test_use_is_told_in_words() -> None:
    iam = account_with_user()
    key = create_key(iam.admin(), USER, frozenset())

    assert str(key_use(iam.admin(), key.id)) == "never used"
    iam.sign_in(key).identity()
    assert str(key_use(iam.admin(), key.id)).endswith("UTC for sts in us-east-1")


def test_a_lost_answer_removes_the_unknown_key_but_no_other() -> None:
    iam = account_with_user()
    first = create_key(iam.admin(), USER, frozenset())
    iam.faults[len(iam.calls) + 1] = "lost"

    with pytest.raises(errors.UnreachableError):
        create_key(iam.admin(), USER, frozenset({first.id}))

    assert list(iam.keys) == [first.id]


def test_a_lost_answer_and_a_lost_list_say_so() -> None:
    iam = account_with_user()
    iam.faults = {1: "lost", 2: "unreachable"}

    with pytest.raises(errors.UnreachableError) as caught:
        create_key(iam.admin(), USER, frozenset())

    assert "could not check whether the key was created" in caught.value.__notes__[0]


def test_an_orphan_of_an_interrupted_run_is_removed(tmp_path: Path) -> None:
    iam = FakeIam()
    world = fake_world(tmp_path, iam)
    world.apply(delivery=None)
    store = world.delivery.store
    store.reserve()
    write_journal(store.folder, Journal(world.plan(delivery=None).principal, store.name, ()))
    orphan = create_key(iam.admin(), USER, frozenset()).id

    plan = world.plan()
    world.apply()

    assert plan.key is not None
    assert plan.key.orphans == (orphan,)
    assert orphan not in iam.keys
    assert len(iam.keys) == 1


def test_a_key_somebody_uses_is_no_orphan(tmp_path: Path) -> None:
    iam = FakeIam()
    world = fake_world(tmp_path, iam)
    world.apply(delivery=None)
    store = world.delivery.store
    store.reserve()
    write_journal(store.folder, Journal(world.plan(delivery=None).principal, store.name, ()))
    iam.sign_in(create_key(iam.admin(), USER, frozenset())).identity()

    with pytest.raises(errors.RefusedError, match="somebody uses it: last used"):
        world.plan()


def test_the_interrupted_run_of_another_user_is_not_touched(tmp_path: Path) -> None:
    world = fake_world(tmp_path)
    store = world.delivery.store
    store.reserve()
    write_journal(store.folder, Journal("arn:aws:iam::111122223333:user/x", store.name, ()))

    with pytest.raises(errors.RefusedError, match="user/x"):
        world.plan()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"version": 2}', '{"version": 1}', "null"])
def test_a_journal_that_cannot_be_read_is_not_taken_for_absent(tmp_path: Path, text: str) -> None:
    (tmp_path / "journal.json").write_text(text)

    with pytest.raises(errors.InputError, match="cannot read the journal"):
        read_journal(tmp_path)


def test_a_second_run_at_the_same_time_is_refused(tmp_path: Path) -> None:
    from cml_iam.credentials._files import locked

    world = fake_world(tmp_path)
    with locked(tmp_path), pytest.raises(errors.RefusedError, match="another cml-iam"):
        world.apply()
    world.apply()
