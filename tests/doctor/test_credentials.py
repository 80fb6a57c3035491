"""Issue: "AuthFailure" Error. Every entry of the troubleshooting is seeded, and named."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cml_iam.aws import connect
from cml_iam.check.answer import State
from cml_iam.check.doctor import Scene, examine
from cml_iam.site import load_site
from cml_iam.workers import WorkerManager
from tests.doctor.conftest import Clock, Patient
from tests.key_ids import key_id


def only(found: list[dict[str, str]], subject: str) -> dict[str, str]:
    (one,) = [each for each in found if each["subject"] == subject]
    return one


def test_a_healthy_credential_is_fine_but_for_the_age_nobody_may_read(patient: Patient) -> None:
    found = patient.visit("credentials", "files")

    assert [each["subject"] for each in found] == ["key age"]
    assert found[0]["state"] == "could not check"
    assert "--admin-profile" in found[0]["remedy"]
    assert patient.said["code"] == 8


def test_with_somebody_who_may_read_iam_all_is_known(patient: Patient) -> None:
    assert patient.visit("credentials", "files", admin=True) == []
    assert patient.said["code"] == 0


def test_the_source_of_the_credential_is_said(patient: Patient) -> None:
    patient.visit("credentials")

    source = only(patient.said["diagnoses"], "source")
    assert source["said"] == (f"access key `{patient.key}` from the environment: AWS_ACCESS_KEY_ID")


def test_a_profile_of_the_command_line_wins_over_the_environment(patient: Patient) -> None:
    found = patient.visit("credentials", "--profile", "admin", admin=True)

    said = [
        diagnose["said"]
        for diagnose in patient.said["diagnoses"]
        if diagnose["subject"] == "source"
    ]
    assert "profile `admin` in " in said[0]
    assert "(named by --profile)" in said[0]
    assert said[1].startswith("not used: AWS_ACCESS_KEY_ID of the environment")
    assert "root" in only(found, "accepted")["said"]


def test_no_credential_at_all_is_a_finding(patient: Patient) -> None:
    patient.monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    patient.monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")

    found = patient.visit("credentials", "permissions", "metrics", "regions")

    assert only(found, "source")["state"] == "finding"
    assert "AWS_ACCESS_KEY_ID" in only(found, "source")["remedy"]
    others = [each["state"] for each in found if each["area"] != "credentials"]
    assert others == ["could not check"] * 3
    assert patient.said["code"] == 3


# Solution 1: verify credentials are correctly set in `.env`


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("AWS_ACCESS_KEY_ID={key}\n", "AWS_SECRET_ACCESS_KEY is not set"),
        ("AWS_SECRET_ACCESS_KEY={secret}\n", "AWS_ACCESS_KEY_ID is not set"),
        (
            "AWS_ACCESS_KEY_ID=AKIA...\nAWS_SECRET_ACCESS_KEY={secret}\n",
            "not have the form of a key",
        ),
        ("AWS_ACCESS_KEY_ID={key}\nAWS_SECRET_ACCESS_KEY={secret}x\n", "has 41 characters"),
        ("AWS_ACCESS_KEY_ID={key}\nAWS_SECRET_ACCESS_KEY='{secret} '\n", "contains blanks"),
        (
            "AWS_ACCESS_KEY_ID=AKIAIOSFODNN7EXAMPLE\nAWS_SECRET_ACCESS_KEY={secret}\n",
            "the documentation's example",
        ),
    ],
)
def test_an_env_file_that_cannot_work_is_named_and_its_secret_is_not_shown(
    patient: Patient, text: str, said: str
) -> None:
    secret = patient.secret.reveal()
    path = patient.folder / ".env"
    path.write_text(text.format(key=patient.key, secret=secret))

    found = patient.visit("files")

    assert said in only(found, ".env")["said"]
    assert "key deliver --to env:.env" in only(found, ".env")["remedy"]
    assert secret not in patient.said["text"]


def test_an_env_file_with_another_key_than_the_one_in_use_is_pointed_out(patient: Patient) -> None:
    patient.monkeypatch.setenv("AWS_ACCESS_KEY_ID", patient.sandbox.root.id)
    patient.monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", patient.sandbox.root.secret.reveal())

    said = only(patient.visit("files"), ".env")["said"]

    assert f"holds the key `{patient.key}`, but `{patient.sandbox.root.id}`" in said


@pytest.mark.parametrize("name", [".env", "no-aws-credentials"])
def test_a_file_of_credentials_open_to_others_is_a_finding(patient: Patient, name: str) -> None:
    (patient.folder / name).chmod(0o644)

    (found,) = patient.visit("files")

    assert found["said"] == "accessible to other users (0644)"
    assert found["remedy"].startswith("chmod 600 ")


def test_a_mistyped_secret_is_told_from_a_wrong_key(patient: Patient) -> None:
    patient.use(patient.key, "A" * 40)

    accepted = only(patient.visit("credentials"), "accepted")

    assert "exists, but the secret does not belong to it" in accepted["said"]


# Solution 2: check if the IAM user is active (not deleted)


def test_a_deleted_user_is_named(patient: Patient) -> None:
    patient.root.call("iam", "delete_user_policy", UserName=patient.name, PolicyName="policy-0")
    patient.root.call("iam", "delete_access_key", UserName=patient.name, AccessKeyId=patient.key)
    patient.root.call("iam", "delete_user", UserName=patient.name)

    accepted = only(patient.visit("credentials", admin=True), "accepted")

    assert f"the user `{patient.name}` and its key `{patient.key}` do not exist" in accepted["said"]
    assert "cml-iam bootstrap apply" in accepted["remedy"]


# Solution 3: verify access keys haven't been rotated or disabled


def test_an_inactive_key_is_named(patient: Patient) -> None:
    patient.root.call(
        "iam",
        "update_access_key",
        UserName=patient.name,
        AccessKeyId=patient.key,
        Status="Inactive",
    )

    accepted = only(patient.visit("credentials", admin=True), "accepted")

    assert accepted["said"] == f"the key `{patient.key}` of `{patient.name}` is inactive"
    assert "reactivate it" in accepted["remedy"]


def test_a_rotated_key_is_named_with_the_one_that_is_active(patient: Patient) -> None:
    new = patient.root.call("iam", "create_access_key", UserName=patient.name)["AccessKey"]
    patient.root.call("iam", "delete_access_key", UserName=patient.name, AccessKeyId=patient.key)

    accepted = only(patient.visit("credentials", admin=True), "accepted")

    assert "deleted or rotated" in accepted["said"]
    assert accepted["said"].endswith(f"active: `{new['AccessKeyId']}`")


def test_without_somebody_who_may_read_iam_the_causes_stay_alike(patient: Patient) -> None:
    patient.use(key_id("111122223333"), "A" * 40)

    found = patient.visit("credentials", "permissions", "metrics")

    accepted = only(found, "accepted")
    assert "only IAM can say which" in accepted["said"]
    assert "--admin-profile" in accepted["remedy"]
    assert accepted["state"] == "finding"
    assert patient.said["code"] == 3


def test_a_key_of_another_account_is_told_by_its_id_even_where_aws_refuses_it(
    patient: Patient,
) -> None:
    patient.use(key_id("111122223333"), "A" * 40)
    (patient.folder / "cml-iam.toml").write_text('[account]\nid = "999988887777"\n')

    account = only(patient.visit("credentials"), "account")

    assert account["state"] == "finding"
    assert "the site file is for 999988887777" in account["said"]


def test_a_session_that_has_run_out_is_named(patient: Patient, clock: Clock) -> None:
    made = patient.aws.call("sts", "get_session_token", DurationSeconds=900)["Credentials"]
    patient.use(made["AccessKeyId"], made["SecretAccessKey"].reveal())
    patient.monkeypatch.setenv("AWS_SESSION_TOKEN", made["SessionToken"].reveal())
    assert [each for each in patient.visit("credentials") if each["subject"] == "accepted"] == []
    clock.shift = timedelta(0)
    _expire(patient, made["AccessKeyId"])

    accepted = only(patient.visit("credentials"), "accepted")

    assert accepted["said"] == f"the session of `{made['AccessKeyId']}` has expired"


def _expire(patient: Patient, key: str) -> None:
    from dataclasses import replace

    sessions = patient.sandbox._world.sessions
    sessions[key] = replace(sessions[key], expires=datetime.now(UTC) - timedelta(minutes=1))


# Solution 4: test the credentials with `aws ec2 describe-regions`


def test_a_policy_without_describe_regions_is_no_authfailure(patient: Patient) -> None:
    patient.allow(
        {
            "Version": "2012-10-17",
            "Statement": {"Effect": "Allow", "Action": "ec2:RunInstances", "Resource": "*"},
        }
    )

    found = patient.visit("credentials", "regions", admin=True)

    assert [each["area"] for each in found] == ["regions"]
    assert found[0]["state"] == "could not check"
    assert "ec2:DescribeRegions" in found[0]["remedy"]


# The clock


@pytest.mark.parametrize("minutes", [-20, -6, -4, 4, 6, 20])
def test_a_wrong_clock_is_named_with_how_far_it_is_off(
    patient: Patient, clock: Clock, minutes: int
) -> None:
    # The root's key is older than any shift; one just made would be not known yet.
    patient.use(patient.sandbox.root.id, patient.sandbox.root.secret.reveal())
    clock.shift = timedelta(minutes=-minutes)

    found = patient.visit("clock", "credentials")

    said = only(found, "clock")["said"]
    expected = {f"{abs(minutes)} min {n} s" for n in (0, 1)} | {f"{abs(minutes) - 1} min 59 s"}
    assert any(said.startswith(each) for each in expected)
    assert ("ahead of" if minutes > 0 else "behind") in said
    refused = abs(minutes) > 5
    assert ("AuthFailure" in said) is refused
    assert ("still accepted" in said) is not refused
    assert (only(found, "accepted")["state"] == "finding") is refused
    if refused:
        assert "see the clock above" in only(found, "accepted")["said"]


def test_a_clock_nobody_tells_is_unchecked(patient: Patient) -> None:
    patient.monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")

    found = patient.visit("clock", "endpoint", "credentials")

    assert only(found, "clock")["state"] == "could not check"
    assert only(found, "accepted")["state"] == "could not check"
    assert "set by AWS_ENDPOINT_URL" in only(found, "ec2")["said"]


# The age of the key


@pytest.mark.parametrize(
    ("days", "state"), [(10, State.OK), (80, State.ADVICE), (91, State.FINDING)]
)
def test_the_age_of_the_key_is_said(patient: Patient, days: int, state: State) -> None:
    def now() -> datetime:
        return datetime.now(UTC) + timedelta(days=days, minutes=1)

    admin = connect(profile="admin", region="us-east-1")
    aws = connect(region="us-east-1")
    scene = Scene(
        aws,
        WorkerManager(aws),
        ("us-east-1",),
        "us-east-1",
        load_site(Path("cml-iam.toml")),
        now,
        admin,
    )

    age = next(each for each in examine(scene, ["credentials"]) if each.subject == "key age")

    assert age.state is state
    assert age.said.startswith(f"{days} days")


def test_the_secret_is_in_no_answer(patient: Patient, cml_iam: Any) -> None:
    ran = cml_iam("doctor", "credentials", "files", "--admin-profile", "admin")

    assert patient.secret.reveal() not in ran.out + ran.err
    assert patient.key in ran.out
