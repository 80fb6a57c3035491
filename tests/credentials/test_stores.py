"""What every store keeps: staged is not in use, promoted is read back, discarded is gone."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from cml_iam import errors
from cml_iam.aws import connect
from cml_iam.aws.port import Aws
from cml_iam.credentials import AccessKey, EnvFile, Store, Together, open_store
from cml_iam.credentials._files import close_folder
from cml_iam.credentials._formats import ProfileFile
from cml_iam.credentials._remote import Parameter, SecretsManager
from cml_iam.secret import Secret
from tests.credentials.fake_cloud import Cloud, CloudAws
from tests.credentials.stores import EVERY, FILES, STORES
from tests.provision.fake_iam import FakeIam

KEY = AccessKey("AKIAIOSFODNN7EXAMPLE", Secret("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"))
NEXT = AccessKey("AKIA" + "EXAMPLE2" * 2, Secret("n" * 40))
THIRD = AccessKey("AKIA" + "EXAMPLE3" * 2, Secret("t" * 40))
MOTO = ("secretsmanager", "ssm", "both in AWS")


def fake_aws() -> Aws:
    return CloudAws(Cloud(), FakeIam().admin())


@pytest.fixture(params=[*EVERY, *(f"{kind} on moto" for kind in MOTO)])
def store(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Store]:
    kind: str = request.param
    if not kind.endswith(" on moto"):
        yield EVERY[kind](tmp_path, fake_aws())
        return
    from moto import mock_aws

    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY.id)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", KEY.secret.reveal())
    with mock_aws():
        yield EVERY[kind.removesuffix(" on moto")](tmp_path, connect(region="us-east-1"))


def deliver(store: Store, key: AccessKey = KEY) -> None:
    store.look()
    store.reserve()
    store.stage(key)
    store.promote(key)
    store.discard()


def left(store: Store) -> list[str]:
    parent = store.folder.parent
    close_folder(store.folder)  # as the end of the journal does
    return [each.name for each in parent.iterdir() if each.name == ".cml-iam"]


def test_a_staged_key_is_not_in_use_until_it_is_promoted(store: Store) -> None:
    assert store.look().key is None
    deliver(store)
    assert (store.look().key, store.look().staged) == (KEY, None)

    store.reserve()
    assert (store.look().key, store.look().staged) == (KEY, None)
    store.stage(NEXT)
    assert (store.look().key, store.look().staged) == (KEY, NEXT)
    store.promote(NEXT)
    assert (store.look().key, store.look().staged) == (NEXT, None)


def test_a_discarded_key_is_forgotten_and_nothing_is_left(store: Store) -> None:
    deliver(store)
    store.reserve()
    store.stage(NEXT)

    store.discard()
    store.discard()

    assert (store.look().key, store.look().staged) == (KEY, None)
    assert left(store) == []


def test_the_first_key_is_not_in_use_before_it_is_promoted_either(store: Store) -> None:
    store.reserve()
    store.stage(KEY)

    assert (store.look().key, store.look().staged) == (None, KEY)


def test_what_was_staged_last_counts_and_each_step_may_be_repeated(store: Store) -> None:
    deliver(store)
    for step in (store.reserve, store.reserve, lambda: store.stage(NEXT)):
        step()
    store.stage(THIRD)
    store.stage(THIRD)
    assert store.look().staged == THIRD
    store.promote(THIRD)
    store.promote(THIRD)
    assert store.look().key == THIRD


def test_a_key_that_is_staged_nowhere_is_staged_and_promoted(store: Store) -> None:
    deliver(store)

    store.promote(NEXT)

    assert store.look().key == NEXT


@pytest.mark.parametrize("kind", STORES)
def test_what_does_not_read_back_is_an_error(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud = Cloud()
    store = STORES[kind](tmp_path, CloudAws(cloud, FakeIam().admin()))
    deliver(store)
    store.stage(NEXT)
    put = cloud.put_parameter
    # The last step is accepted, and nothing comes of it.
    monkeypatch.setattr("cml_iam.credentials._files.move_file", lambda *names, **rest: None)
    monkeypatch.setattr(cloud, "update_secret_version_stage", lambda **given: {})
    monkeypatch.setattr(
        cloud,
        "put_parameter",
        lambda **given: put(**given) if given["Name"].endswith("pending") else {},
    )

    with pytest.raises(errors.CmlIamError, match="does not contain what was written"):
        store.promote(NEXT)


def test_no_word_of_a_store_holds_a_secret(store: Store) -> None:
    deliver(store)
    said = f"{store!r} {store.name} {store.look()!r} {store.afterwards()}"

    assert KEY.secret.reveal() not in said


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_a_file_is_private_at_every_moment_under_any_umask(
    tmp_path: Path, kind: str, umask: int
) -> None:
    before = os.umask(umask)
    try:
        store = STORES[kind](tmp_path, fake_aws())
        for step in (store.reserve, lambda: store.stage(KEY), lambda: store.promote(KEY)):
            step()
            for path in tmp_path.rglob("*"):
                assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600), path
    finally:
        os.umask(before)


@pytest.mark.parametrize("kind", FILES)
def test_a_symbolic_link_is_never_followed(tmp_path: Path, kind: str) -> None:
    store = STORES[kind](tmp_path, fake_aws())
    real = tmp_path / "real"
    real.write_text("")
    Path(store.path).symlink_to(real)  # type: ignore[attr-defined]

    with pytest.raises(errors.RefusedError, match="symbolic link"):
        store.look()


# several at once


def _pair(tmp_path: Path) -> tuple[Together, EnvFile, ProfileFile]:
    one, two = EnvFile(tmp_path / ".env"), ProfileFile(tmp_path / "credentials", profile="cml")
    return Together((one, two)), one, two


@pytest.mark.parametrize("staged", ["everywhere", "in the first"])
def test_no_store_is_promoted_before_all_hold_the_key(tmp_path: Path, staged: str) -> None:
    both, one, _ = _pair(tmp_path)
    deliver(both)
    seen = []
    real = ProfileFile.stage

    def stage(self: ProfileFile, key: AccessKey) -> None:
        seen.append((one.look().key, one.look().staged))
        real(self, key)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ProfileFile, "stage", stage)
        both.reserve()
        (both if staged == "everywhere" else one).stage(NEXT)
        both.promote(NEXT)

    assert seen == [(KEY, NEXT)]
    assert both.look().key == NEXT


def test_stores_that_differ_have_no_key_in_common(tmp_path: Path) -> None:
    both, one, two = _pair(tmp_path)
    deliver(one)
    assert (both.look().key, both.look().held) == (None, (KEY,))
    deliver(two, NEXT)
    assert (both.look().key, both.look().held) == (None, (KEY, NEXT))


def test_stopped_between_two_promotions_the_rest_is_promoted(tmp_path: Path) -> None:
    both, one, two = _pair(tmp_path)
    deliver(both)
    both.reserve()
    both.stage(NEXT)
    one.promote(NEXT)
    assert (both.look().key, both.look().staged) == (None, NEXT)

    both.promote(NEXT)

    assert (one.look().key, two.look().key) == (NEXT, NEXT)


def test_the_order_in_which_they_are_named_does_not_matter(tmp_path: Path) -> None:
    both, one, two = _pair(tmp_path)
    other = Together((two, one))

    assert (both.name, both.folder) == (other.name, other.folder)


def test_one_store_named_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(errors.InputError, match="twice"):
        Together((EnvFile(tmp_path / ".env"), EnvFile(tmp_path / ".env")))


# what is in AWS


def test_other_members_of_a_secret_stay(tmp_path: Path) -> None:
    cloud = Cloud()
    aws = CloudAws(cloud, FakeIam().admin())
    aws.call("secretsmanager", "create_secret", Name="x", SecretString=Secret('{"a": [1]}'))
    deliver(SecretsManager(aws, "x", tmp_path / ".cml-iam"))

    assert cloud.current("x")["a"] == [1]
    assert set(cloud.labels["x"]) == {"AWSCURRENT"}


@pytest.mark.parametrize("value", ["plain", "[1]", '"text"', "7"])
def test_a_value_that_would_be_lost_is_refused(tmp_path: Path, value: str) -> None:
    cloud = Cloud(parameters={"x": value})
    aws = CloudAws(cloud, FakeIam().admin())
    aws.call("secretsmanager", "create_secret", Name="x", SecretString=Secret(value))

    for store in (SecretsManager(aws, "x", tmp_path), Parameter(aws, "x", tmp_path)):
        with pytest.raises(errors.RefusedError, match="does not contain a JSON object") as caught:
            store.look()
        assert value not in caught.value.message.replace(store.name, "")


def test_a_temporary_credential_in_a_secret_is_refused(tmp_path: Path) -> None:
    aws = CloudAws(Cloud(parameters={"x": '{"AWS_SESSION_TOKEN": "t"}'}), FakeIam().admin())

    with pytest.raises(errors.RefusedError, match="AWS_SESSION_TOKEN"):
        Parameter(aws, "x", tmp_path).look()


def test_a_parameter_keeps_its_key_of_kms_and_its_tier(tmp_path: Path) -> None:
    mine = {"KeyId": "alias/mine", "Tier": "Advanced"}
    cloud = Cloud(parameters={"/x": "{}"}, kept={"/x": mine})

    deliver(Parameter(CloudAws(cloud, FakeIam().admin()), "/x", tmp_path / ".cml-iam"))

    assert cloud.kept["/x"] == mine
    assert cloud.kept["/x-cml-iam-pending"] == mine  # staged under the same key


def test_a_parameter_that_is_not_encrypted_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from moto import mock_aws

    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY.id)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", KEY.secret.reveal())
    with mock_aws():
        aws = connect(region="us-east-1")
        aws.call("ssm", "put_parameter", Name="/x", Value="{}", Type="String")
        with pytest.raises(errors.RefusedError, match="not encrypted"):
            Parameter(aws, "/x", tmp_path).look()


def test_a_move_whose_answer_was_lost_is_not_an_error(tmp_path: Path) -> None:
    iam, cloud = FakeIam(), Cloud()
    aws = CloudAws(cloud, iam.admin())
    store = SecretsManager(aws, "x", tmp_path / ".cml-iam")
    deliver(store)
    store.stage(NEXT)
    move = "update_secret_version_stage"
    for _ in range(40):  # whichever call it is
        iam.faults = {len(iam.calls) + offset: "lost" for offset in range(1, 9)}
        store.promote(NEXT)
    iam.faults = {}

    assert iam.calls.count(move) >= 2
    assert store.look().key == NEXT


# how they are written


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("env:a/.env", "{cwd}/a/.env"),
        ("profile:cml", "{cwd}/no-aws-credentials [cml]"),
        ("k8s:s.yaml", "{cwd}/s.yaml"),
        ("k8s:s.yaml#prod/aws", "{cwd}/s.yaml"),
        ("secretsmanager:prod/cml", "secretsmanager:prod/cml"),
        ("ssm:/prod/cml", "ssm:/prod/cml"),
    ],
)
def test_a_store_is_named_by_its_kind_and_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, name: str
) -> None:
    monkeypatch.chdir(tmp_path)

    assert open_store(text, fake_aws).name == name.format(cwd=tmp_path)


@pytest.mark.parametrize(
    "text", ["", "env", "env:", ".env", "vault:x", "profile:a]b", "k8s:f#Prod/x", "k8s:f#a/b/c"]
)
def test_what_names_no_store_is_refused(text: str) -> None:
    with pytest.raises(errors.InputError):
        open_store(text, fake_aws)


def test_the_value_in_aws_is_the_two_variables(tmp_path: Path) -> None:
    cloud = Cloud()
    deliver(Parameter(CloudAws(cloud, FakeIam().admin()), "x", tmp_path / ".cml-iam"))

    assert json.loads(cloud.parameters["x"]) == {
        "AWS_ACCESS_KEY_ID": KEY.id,
        "AWS_SECRET_ACCESS_KEY": KEY.secret.reveal(),
    }


def test_the_help_of_the_commands_names_every_kind_of_store() -> None:
    from cml_iam.cli.key_deliver import STORE_HELP
    from cml_iam.credentials._places import STORE_FORMS

    assert all(form in STORE_HELP for form in STORE_FORMS.split(", "))
