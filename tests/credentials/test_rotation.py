"""A rotation step by step, with the clock in the test's hand."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from cml_iam import errors
from cml_iam.credentials import AccessKey, Schedule, list_keys, resume, rollback, rotate
from cml_iam.credentials._keys import create_key
from cml_iam.credentials._rotation_state import read_user
from cml_iam.secret import Secret
from tests.credentials.rotations import AT_ONCE, STARTS, Scene, one, two
from tests.provision.fake_iam import FakeIam
from tests.provision.worlds import USER, fake_world

SLOW = Schedule()
DAY = timedelta(days=1)


def statuses(iam: FakeIam) -> list[str]:
    return [key.status for key in list_keys(iam.admin(), USER)]


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return one(tmp_path / "one")


@pytest.mark.parametrize("start", STARTS)
def test_from_any_start_it_ends_with_one_key_in_the_file(tmp_path: Path, start: str) -> None:
    scene = STARTS[start](tmp_path / "x")

    outcome = rotate(scene.rotator())

    assert outcome.state == "done"
    assert scene.unfinished() is None
    assert scene.start is None or scene.start.id not in scene.iam.keys


def test_with_time_it_waits_twice(scene: Scene) -> None:
    first = rotate(scene.rotator(SLOW))
    assert (first.state, first.rotation.phase) == ("waiting", "observing")
    assert statuses(scene.iam) == ["Active", "Active"]
    assert scene.stored_works()

    scene.iam.now += DAY / 2
    assert resume(scene.rotator(SLOW)).state == "waiting"

    scene.iam.now += DAY
    second = resume(scene.rotator(SLOW))
    assert (second.state, second.rotation.phase) == ("waiting", "deactivated")
    assert statuses(scene.iam) == ["Inactive", "Active"]

    scene.iam.now += 7 * DAY
    assert resume(scene.rotator(SLOW)).state == "done"
    assert scene.unfinished() is None


def test_an_old_key_in_use_is_not_taken_away_and_the_use_is_told(scene: Scene) -> None:
    rotate(scene.rotator(SLOW))
    assert scene.start is not None
    scene.iam.now += 2 * DAY
    scene.iam.sign_in(scene.start).identity()

    outcome = resume(scene.rotator(SLOW))

    assert outcome.state == "in use"
    assert scene.start.id in outcome.evidence
    assert "for sts in us-east-1" in outcome.evidence
    assert statuses(scene.iam) == ["Active", "Active"]
    scene.iam.now += 2 * DAY
    assert resume(scene.rotator(SLOW)).rotation.phase == "deactivated"


def test_rotating_again_goes_on_instead_of_making_a_third_key(scene: Scene) -> None:
    rotate(scene.rotator(SLOW))
    keys = set(scene.iam.keys)

    assert rotate(scene.rotator(SLOW)).state == "waiting"
    assert set(scene.iam.keys) == keys


def test_resuming_nothing_makes_no_key(scene: Scene) -> None:
    keys = set(scene.iam.keys)

    assert resume(scene.rotator()).state == "done"
    assert set(scene.iam.keys) == keys


def test_rolling_back_makes_the_old_key_active_again(scene: Scene) -> None:
    rotate(scene.rotator(Schedule(overlap=timedelta(0))))
    assert statuses(scene.iam) == ["Inactive", "Active"]

    said = rollback(scene.rotator(SLOW))

    assert "active again" in said
    assert statuses(scene.iam) == ["Active", "Active"]
    scene.iam.now += 2 * DAY
    assert resume(scene.rotator(SLOW)).rotation.phase == "deactivated"


def test_rolling_back_before_promotion_deletes_the_new_key(scene: Scene) -> None:
    def refuse(key: AccessKey) -> None:
        raise errors.RefusedError("may not")

    before = (scene.folder / ".env").read_bytes()
    with pytest.raises(errors.RefusedError, match="may not"):
        rotate(scene.rotator(prove=refuse))
    assert len(scene.iam.keys) == 2

    rollback(scene.rotator())

    assert scene.start is not None
    assert list(scene.iam.keys) == [scene.start.id]
    assert (scene.folder / ".env").read_bytes() == before
    assert scene.unfinished() is None


def test_a_refused_proof_is_taken_up_again_with_the_same_key(scene: Scene) -> None:
    def refuse(key: AccessKey) -> None:
        raise errors.RefusedError("may not")

    with pytest.raises(errors.RefusedError):
        rotate(scene.rotator(prove=refuse))
    made = set(scene.iam.keys) - {scene.start.id if scene.start else ""}

    rotate(scene.rotator())

    assert set(scene.iam.keys) == made


def test_rolling_back_nothing_is_refused(scene: Scene) -> None:
    with pytest.raises(errors.RefusedError, match="no rotation"):
        rollback(scene.rotator())


def test_a_second_active_key_is_never_deleted(tmp_path: Path) -> None:
    scene = two(tmp_path / "x")
    for key in scene.iam.keys.values():
        key.status = "Active"

    with pytest.raises(errors.RefusedError, match="so a third cannot be created") as caught:
        rotate(scene.rotator())

    assert caught.value.message.count("never used") == 2
    assert len(scene.iam.keys) == 2


def test_an_inactive_key_used_lately_is_not_deleted(tmp_path: Path) -> None:
    scene = two(tmp_path / "x")
    next(iter(scene.iam.keys.values())).used = scene.iam.now

    with pytest.raises(errors.RefusedError, match="a third cannot be created"):
        rotate(scene.rotator(SLOW))


def test_the_old_key_stays_when_the_new_one_does_not_work(scene: Scene) -> None:
    rotate(scene.rotator(SLOW))
    scene.iam.now += 2 * DAY
    path = scene.folder / ".env"
    path.write_text(path.read_text()[:-6] + "AAAAA\n")

    with pytest.raises(errors.RefusedError, match="does not work, so the old key stays active"):
        resume(scene.rotator(SLOW))


def test_another_machine_goes_on_once_the_new_key_is_used(scene: Scene, tmp_path: Path) -> None:
    new = rotate(scene.rotator(SLOW)).rotation.new
    assert new is not None
    (tmp_path / "elsewhere").mkdir()
    elsewhere = Scene(scene.iam, tmp_path / "elsewhere")
    scene.iam.now += 2 * DAY
    scene.iam.keys[new].used = None

    with pytest.raises(errors.RefusedError, match="nobody has used"):
        resume(elsewhere.rotator(SLOW))
    scene.iam.sign_in(AccessKey(new, Secret(scene.iam.keys[new].secret))).identity()

    assert resume(elsewhere.rotator(SLOW)).rotation.phase == "deactivated"


def test_a_lock_of_another_machine_is_respected_for_an_hour(scene: Scene) -> None:
    from cml_iam.credentials._rotation_state import Lock, write_lock

    write_lock(scene.iam.admin(), USER, Lock("somebody", scene.iam.now))

    with pytest.raises(errors.RefusedError, match="another run"):
        rotate(scene.rotator())
    assert not (scene.folder / ".cml-iam").exists()
    scene.iam.now += timedelta(hours=2)
    assert rotate(scene.rotator()).state == "done"
    assert scene.unfinished() is None


def test_a_lock_lost_on_the_way_keeps_the_key_from_being_put_to_use(scene: Scene) -> None:
    from cml_iam.credentials._rotation_state import Lock, write_lock

    def steal(operation: str) -> None:
        if operation == "create_access_key":
            scene.iam.before_call = lambda name: None
            write_lock(scene.iam.admin(), USER, Lock("somebody", scene.iam.now))

    scene.iam.before_call = steal
    with pytest.raises(errors.RefusedError, match="another run"):
        rotate(scene.rotator())

    assert scene.stored_works()
    assert scene.start is not None
    assert scene.start.id in (scene.folder / ".env").read_text()
    rollback(scene.rotator())
    assert list(scene.iam.keys) == [scene.start.id]


def test_a_full_quota_met_on_the_way_frees_the_lock(scene: Scene) -> None:
    def fill(operation: str) -> None:
        if operation == "create_access_key":
            scene.iam.before_call = lambda name: None
            create_key(scene.iam.admin(), USER, frozenset())

    scene.iam.before_call = fill
    with pytest.raises(errors.LimitError):
        rotate(scene.rotator())

    assert scene.iam.users[USER].tags["cml-iam:rotation-lock"] == "free"
    assert not (scene.folder / ".cml-iam").exists()


def test_a_bootstrap_does_not_meddle_with_a_rotation(scene: Scene) -> None:
    def refuse(key: AccessKey) -> None:
        raise errors.RefusedError("may not")

    with pytest.raises(errors.RefusedError):
        rotate(scene.rotator(prove=refuse))

    with pytest.raises(errors.RefusedError, match="interrupted") as caught:
        fake_world(scene.folder, scene.iam).plan()
    assert "key resume" in str(caught.value.remedy)


@pytest.mark.parametrize(
    "value", ["strange", "observing", "observing since=x old=A new=B", "idle since=2026"]
)
def test_a_tag_that_says_nothing_known_is_not_guessed_at(scene: Scene, value: str) -> None:
    scene.iam.users[USER].tags["cml-iam:rotation"] = value

    with pytest.raises(errors.InputError, match="cannot be read"):
        rotate(scene.rotator())


def test_a_rotation_is_due_so_early_that_the_old_key_is_gone_in_time(scene: Scene) -> None:
    (key,) = list_keys(scene.iam.admin(), USER)
    assert key.created is not None

    assert SLOW.due(key) == key.created + timedelta(days=90 - 1 - 7)


def test_no_word_of_a_rotation_holds_a_secret(scene: Scene) -> None:
    said: list[str] = []
    outcome = rotate(scene.rotator(AT_ONCE, report=said.append))
    (key,) = scene.iam.keys.values()

    assert said
    assert key.secret not in "".join(said) + repr(outcome) + repr(scene.iam.users)


def _since(scene: Scene) -> datetime:
    since = read_user(scene.iam.admin(), USER).rotation.since
    assert since is not None
    return since


@pytest.mark.parametrize(
    ("later", "state"),
    [
        (timedelta(0), "waiting"),
        (timedelta(microseconds=999_999), "waiting"),
        (timedelta(seconds=1), "in use"),
    ],
)
def test_uses_are_compared_by_the_second_as_aws_and_the_tag_keep_them(
    scene: Scene, later: timedelta, state: str
) -> None:
    """The rotation itself uses the old key in the second that the tag says: nobody else's use."""
    rotate(scene.rotator(SLOW))
    assert scene.start is not None
    scene.iam.keys[scene.start.id].used = _since(scene) + later

    scene.iam.now = _since(scene) + DAY / 2
    assert resume(scene.rotator(SLOW)).state == state


@pytest.mark.parametrize(
    ("later", "phase"),
    [
        (timedelta(seconds=-1), None),
        (timedelta(0), "deactivated"),
        (timedelta(microseconds=1), "deactivated"),
    ],
)
def test_where_the_store_is_not_the_new_key_must_have_been_used_since(
    scene: Scene, later: timedelta, phase: str | None
) -> None:
    rotate(scene.rotator(SLOW))
    assert scene.start is not None
    new = next(key for key in scene.iam.keys if key != scene.start.id)
    elsewhere = Scene(scene.iam, scene.folder.parent / "elsewhere", scene.start)
    elsewhere.folder.mkdir()
    scene.iam.keys[new].used = _since(scene) + later
    scene.iam.now += DAY

    if phase is None:
        with pytest.raises(errors.RefusedError, match="nobody has used it"):
            resume(elsewhere.rotator(SLOW))
    else:
        assert resume(elsewhere.rotator(SLOW)).rotation.phase == phase
