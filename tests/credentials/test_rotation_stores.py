"""A rotation with several stores, and with a disk that was lost."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from cml_iam import errors
from cml_iam.credentials import (
    AccessKey,
    Schedule,
    Store,
    Together,
    ask_health,
    deliver,
    parts_of,
    plan_key,
    resume,
    revoke,
    rollback,
    rotate,
)
from cml_iam.credentials._formats import ProfileFile
from cml_iam.credentials._rotation_state import Lock, read_user, write_lock
from cml_iam.secret import Secret
from tests.credentials.rotations import AT_ONCE, Scene, empty, one
from tests.credentials.stores import EVERY
from tests.provision.fake_iam import ACCOUNT
from tests.provision.worlds import USER

SLOW = Schedule()
ARN = f"arn:aws:iam::{ACCOUNT}:user/{USER}"


class Stopped(BaseException):
    """The process was killed here."""


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return one(tmp_path / "x", "all")


def stop_after_promotions(scene: Scene, many: int) -> None:
    """Begin a rotation that dies when *many* stores have the new key."""
    seen = 0
    real = Together.promote

    def promote(self: Together, key: AccessKey) -> None:
        nonlocal seen
        self.stage(key)
        for part in self.stores:
            if seen == many:
                raise Stopped
            part.promote(key)
            seen += 1

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Together, "promote", promote)
        with pytest.raises(Stopped):
            rotate(scene.rotator(SLOW))
    assert real is Together.promote


@pytest.mark.parametrize("kind", EVERY)
def test_every_kind_ends_with_one_key_in_all_of_its_stores(tmp_path: Path, kind: str) -> None:
    scene = one(tmp_path / "x", kind)

    assert rotate(scene.rotator()).state == "done"
    assert scene.unfinished() is None


@pytest.mark.parametrize("many", [1, 3, 5])
def test_stopped_between_promotions_every_store_works_and_the_same_key_goes_on(
    scene: Scene, many: int
) -> None:
    stop_after_promotions(scene, many)
    keys = set(scene.iam.keys)
    assert scene.unsound() is None

    assert resume(scene.rotator(SLOW)).state == "waiting"

    assert set(scene.iam.keys) == keys
    (held,) = scene.store.look().held
    assert scene.start is not None
    assert held.id != scene.start.id


def test_even_when_what_was_staged_is_gone_the_promoted_key_goes_on(scene: Scene) -> None:
    stop_after_promotions(scene, 1)
    for part in parts_of(scene.store)[1:]:
        part.discard()

    assert resume(scene.rotator(SLOW)).state == "waiting"
    assert len(scene.store.look().held) == 1


def test_between_promotions_a_rollback_deletes_no_key_in_use(scene: Scene) -> None:
    stop_after_promotions(scene, 2)

    with pytest.raises(errors.RefusedError, match="in use in some of the stores"):
        rollback(scene.rotator())
    assert scene.unsound() is None


def test_a_store_that_holds_the_old_key_keeps_it(scene: Scene) -> None:
    assert scene.start is not None
    rotate(scene.rotator(SLOW))
    scene.iam.now += timedelta(days=2)
    part = parts_of(scene.store)[0]
    part.promote(scene.start)

    with pytest.raises(errors.RefusedError, match="still has the old key"):
        resume(scene.rotator(SLOW))
    assert scene.iam.keys[scene.start.id].status == "Active"


def test_a_leaked_key_is_replaced_in_every_store(scene: Scene) -> None:
    assert scene.start is not None

    done = revoke(scene.rotator(), scene.start.id)

    assert done.replacement is not None
    assert scene.stored_works()
    assert {key.id for key in scene.store.look().held} == {done.replacement}


def test_a_rotation_of_other_stores_does_not_meddle(tmp_path: Path) -> None:
    scene = one(tmp_path / "x", "three files")
    stop_after_promotions(scene, 1)
    only_one = Scene(scene.iam, scene.folder, scene.start, "env", scene.cloud)

    with pytest.raises(errors.RefusedError):
        rotate(only_one.rotator())
    assert scene.unsound() is None
    assert resume(scene.rotator(SLOW)).state == "waiting"


@pytest.mark.parametrize("stopped", [False, True])
def test_stores_in_several_folders_leave_none_behind(tmp_path: Path, stopped: bool) -> None:
    scene = one(tmp_path / "a", "env")
    (tmp_path / "b").mkdir()
    store = Together((scene.store, ProfileFile(tmp_path / "b" / "credentials")))

    def prove(key: AccessKey) -> None:
        if stopped:
            raise Stopped

    rotator = scene.rotator(prove=prove)
    rotator = replace(rotator, delivery=replace(rotator.delivery, store=store))
    if stopped:
        with pytest.raises(Stopped):
            rotate(rotator)
        assert (tmp_path / "b" / ".cml-iam").exists()
        rollback(rotator)
    else:
        rotate(rotator)
    assert list(tmp_path.rglob(".cml-iam")) == []


# delivery


def give(scene: Scene, kind: str) -> Store:
    """Deliver as `key deliver` does to the stores of *kind*."""
    store = EVERY[kind](scene.folder, scene.admin())
    delivery = scene.rotator().delivery
    delivery = replace(delivery, store=store, prove=None)
    plan = plan_key(scene.iam.admin(), USER, ARN, delivery)
    deliver(scene.iam.admin(), plan, delivery, pause=lambda seconds: None)
    return store


def test_the_key_of_one_store_goes_to_the_others_and_none_is_made(tmp_path: Path) -> None:
    scene = one(tmp_path / "x", "env")

    store = give(scene, "all")

    assert store.look().key == scene.start
    assert len(scene.iam.keys) == 1
    assert not list(scene.folder.glob(".cml-iam"))


def test_a_damaged_copy_is_not_the_one_that_is_shared(tmp_path: Path) -> None:
    scene = one(tmp_path / "x", "three files")
    path = scene.folder / ".env"
    assert scene.start is not None
    path.write_text(path.read_text().replace(scene.start.secret.reveal(), "A" * 40))

    assert give(scene, "three files").look().key == scene.start


def test_what_a_rotation_elsewhere_has_staged_is_left_alone(tmp_path: Path) -> None:
    scene = one(tmp_path / "x", "ssm")
    write_lock(scene.iam.admin(), USER, Lock("elsewhere", scene.iam.now))
    assert scene.start is not None
    scene.store.stage(scene.start)

    with pytest.raises(errors.RefusedError, match="began elsewhere"):
        give(scene, "ssm")


# a disk that was lost


def lose_the_disk(scene: Scene) -> None:
    """Stage a new key in AWS on a machine whose disk is gone then."""

    def stop(key: AccessKey) -> None:
        raise Stopped

    with pytest.raises(Stopped):
        rotate(scene.rotator(prove=stop))
    for path in sorted(scene.folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()


@pytest.mark.parametrize("kind", ["ssm", "secretsmanager", "both in AWS"])
def test_a_key_staged_in_aws_is_put_to_use_by_another_machine(tmp_path: Path, kind: str) -> None:
    scene = one(tmp_path / "x", kind)
    lose_the_disk(scene)
    made = set(scene.iam.keys) - {scene.start.id if scene.start else ""}

    with pytest.raises(errors.RefusedError):  # the lock is young
        rotate(scene.rotator())
    assert scene.unsound() is None
    scene.iam.now += timedelta(hours=2)
    assert rotate(scene.rotator()).state == "done"

    assert set(scene.iam.keys) == made
    assert scene.unfinished() is None


def test_a_key_that_somebody_used_since_is_not_taken_over(tmp_path: Path) -> None:
    scene = one(tmp_path / "x", "ssm")
    lose_the_disk(scene)
    scene.store.discard()
    scene.iam.now += timedelta(hours=2)

    with pytest.raises(errors.RefusedError, match="so a third cannot be created"):
        rotate(scene.rotator(AT_ONCE))
    assert len(scene.iam.keys) == 2
    assert read_user(scene.iam.admin(), USER).lock is not None


# the application


@pytest.fixture
def application() -> Iterator[tuple[str, list[int]]]:
    """A /health that answers with the last number of the list."""
    answers = [200]
    heard: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            heard.append(str(self.headers))
            self.send_response(answers[-1])
            self.end_headers()

        def log_message(self, *_: object) -> None:
            return

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/health", answers
        server.shutdown()
        thread.join()
    assert not any("AKIA" in each for each in heard)


def test_an_application_that_is_not_well_keeps_its_key(
    tmp_path: Path, application: tuple[str, list[int]]
) -> None:
    url, answers = application
    scene = one(tmp_path / "x")
    answers.append(503)

    with pytest.raises(errors.IncompleteError, match="answers 503"):
        rotate(scene.rotator(prove=lambda key: ask_health(url)))
    assert scene.store.look().key == scene.start
    keys = set(scene.iam.keys)

    answers.append(204)
    assert rotate(scene.rotator(SLOW, prove=lambda key: ask_health(url))).state == "waiting"
    assert set(scene.iam.keys) == keys
    assert scene.store.look().key != scene.start


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/health", "http://[", "https://127.0.0.1:1"])
def test_no_answer_is_not_well(url: str) -> None:
    with pytest.raises(errors.IncompleteError, match="does not answer"):
        ask_health(url)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://x", "x"])
def test_only_http_is_asked(url: str) -> None:
    with pytest.raises(errors.InputError, match="not an HTTP URL"):
        ask_health(url)


def _fails(scene: Scene) -> None:
    def broken(key: AccessKey) -> None:
        raise errors.IncompleteError("the application is not healthy")

    with pytest.raises(errors.IncompleteError):
        rotate(scene.rotator(prove=broken))


@pytest.mark.parametrize("kind", ["secretsmanager", "both in AWS", "all"])
def test_a_first_delivery_that_is_undone_leaves_no_secret(tmp_path: Path, kind: str) -> None:
    scene = empty(tmp_path / "x", kind)
    _fails(scene)
    assert scene.cloud.secrets

    rollback(scene.rotator())

    assert (scene.cloud.secrets, scene.cloud.parameters, scene.iam.keys) == ({}, {}, {})
    assert list(scene.folder.iterdir()) == []


def test_a_refused_first_key_leaves_no_secret(tmp_path: Path) -> None:
    scene = empty(tmp_path / "x", "secretsmanager")
    scene.iam.denied.add("create_access_key")

    with pytest.raises(errors.DeniedError):
        rotate(scene.rotator())

    assert scene.cloud.secrets == {}


@pytest.mark.parametrize("value", ["{}", '{"other": "member"}'])
def test_a_secret_of_somebody_else_stays_empty_or_not(tmp_path: Path, value: str) -> None:
    scene = empty(tmp_path / "x", "secretsmanager")
    scene.cloud.create_secret("prod/cml", Secret(value), Description="made by hand")
    _fails(scene)

    rollback(scene.rotator())

    assert "prod/cml" in scene.cloud.secrets
    assert scene.cloud.current("prod/cml") == json.loads(value)


def test_who_may_not_delete_it_undoes_the_rest(tmp_path: Path) -> None:
    scene = empty(tmp_path / "x", "secretsmanager")
    _fails(scene)
    scene.iam.denied.add("delete_secret")

    rollback(scene.rotator())

    assert (scene.cloud.current("prod/cml"), scene.iam.keys) == ({}, {})
    assert rotate(scene.rotator()).state == "done"
    assert scene.stored_works()
