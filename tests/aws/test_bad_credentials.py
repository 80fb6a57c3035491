"""A credential that cannot work is told in words, with its profile and source, and never shown."""

from __future__ import annotations

import io
import json
import logging
import os
import sys
from pathlib import Path
from secrets import token_urlsafe
from typing import Any

import pytest

from cml_iam import errors
from cml_iam.aws import connect, source_of
from cml_iam.secret import Secret
from tests.key_ids import key_id

KEY = key_id("111122223333")


def call(profile: str | None = None) -> errors.CredentialsError:
    """Ask AWS as *profile*, where no endpoint is: nothing may be sent."""
    aws = connect(profile=profile, region="us-east-1", endpoint_url="http://127.0.0.1:9")
    with pytest.raises(errors.CredentialsError) as caught:
        aws.call("ec2", "describe_regions")
    with pytest.raises(errors.CredentialsError) as of_source:
        source_of(connect(profile=profile))
    assert str(of_source.value) == str(caught.value)
    return caught.value


@pytest.mark.parametrize(
    ("id_of", "secret_of", "said"),
    [
        ("{}\n", "{}", "AWS_ACCESS_KEY_ID ends with a newline"),
        ("{}\r\n", "{}", "AWS_ACCESS_KEY_ID ends with a carriage return"),
        (" {}", "{}", "AWS_ACCESS_KEY_ID has a blank in it"),
        ('"{}"', "{}", "AWS_ACCESS_KEY_ID is in quotation marks"),
        ("{}", "{}\n", "AWS_SECRET_ACCESS_KEY ends with a newline"),
        ("{}", "{} ", "AWS_SECRET_ACCESS_KEY ends with a blank"),
        ("{}", "{}\u200b", "AWS_SECRET_ACCESS_KEY ends with the character `\\u200b`"),
    ],
)
def test_a_blank_or_newline_beside_the_key_is_seen_before_anything_is_sent(
    monkeypatch: pytest.MonkeyPatch, id_of: str, secret_of: str, said: str
) -> None:
    secret = token_urlsafe(30)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", id_of.format(KEY))
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", secret_of.format(secret))

    error = call()

    assert error.message == said
    assert "printf" in (error.remedy or "")
    assert secret not in str(error) + str(error.remedy)


def test_a_newline_in_the_session_token_is_named_and_not_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    token = token_urlsafe(30)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", token_urlsafe(30))
    monkeypatch.setenv("AWS_SESSION_TOKEN", f"{token}\n")

    error = call()

    assert error.message == "AWS_SESSION_TOKEN ends with a newline"
    assert token not in str(error)


def test_a_key_that_a_caller_gives_is_looked_at_too() -> None:
    aws = connect(access_key=f"{KEY}\n", secret_key=Secret("x" * 40), region="us-east-1")

    with pytest.raises(errors.CredentialsError, match="ends with a newline"):
        aws.call("ec2", "describe_regions")


@pytest.fixture
def profile(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Write a profile `p` of these lines to the configuration file."""

    def write(*lines: str) -> None:
        path = tmp_path / "config"
        path.write_text("\n".join(["[profile p]", *lines, ""]))
        monkeypatch.setenv("AWS_CONFIG_FILE", str(path))

    return write


def printing(tmp_path: Path, text: str) -> str:
    (tmp_path / "answer").write_text(text)
    return f"credential_process = cat {tmp_path / 'answer'}"


def expired(secret: str) -> str:
    made = {"Version": 1, "AccessKeyId": KEY, "SecretAccessKey": secret, "SessionToken": "t"}
    return json.dumps({**made, "Expiration": "2020-01-01T00:00:00Z"})


def test_a_process_that_answers_an_expired_credential(profile: Any, tmp_path: Path) -> None:
    secret = token_urlsafe(30)
    profile(printing(tmp_path, expired(secret)))

    error = call("p")

    assert error.message == (
        "the credential_process of profile `p` named by --profile returned an expired credential"
    )
    assert secret not in str(error)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("hello", "did not return JSON"),
        ("", "did not return JSON"),
        ("[1]", "did not return a credential"),
        ("{}", "Unsupported version"),
        ('{"Version": 1}', "Missing required key"),
    ],
)
def test_a_process_that_answers_something_else(
    profile: Any, tmp_path: Path, answer: str, said: str
) -> None:
    profile(printing(tmp_path, answer))

    error = call("p")

    assert said in error.message
    assert "the credential_process of profile `p`" in error.message
    assert "by hand" in (error.remedy or "")


def test_a_process_that_is_not_there(profile: Any, tmp_path: Path) -> None:
    profile(f"credential_process = {tmp_path / 'nowhere'}")

    error = call("p")

    assert error.message == (
        "the credential_process of profile `p` named by --profile cannot be used: "
        f"`{tmp_path / 'nowhere'}`: no such file or directory"
    )


def test_a_process_that_fails(profile: Any) -> None:
    profile("credential_process = false")

    assert "the credential_process of profile `p`" in call("p").message


def without_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave no terminal to ask on, though this process may have one."""
    really = os.open

    def refusing(path: Any, *arguments: Any, **more: Any) -> int:
        if path == "/dev/tty":
            raise OSError
        return really(path, *arguments, **more)

    monkeypatch.setattr(os, "open", refusing)
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))


def test_an_mfa_code_that_nobody_can_type(
    profile: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", token_urlsafe(30))
    profile(
        "role_arn = arn:aws:iam::111122223333:role/r",
        "credential_source = Environment",
        "mfa_serial = arn:aws:iam::111122223333:mfa/m",
    )
    without_terminal(monkeypatch)

    error = call("p")

    assert error.message == (
        "a role that profile `p` named by --profile assumes needs an MFA code, but there is no "
        "terminal to enter it"
    )
    assert "Enter MFA code" not in "".join(capsys.readouterr())


def test_a_provider_that_fails_leaves_no_traceback_in_the_log(
    profile: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    profile(printing(tmp_path, expired(token_urlsafe(30))))
    with caplog.at_level(logging.DEBUG):
        call("p")

    assert "Traceback" not in caplog.text


def test_a_session_of_the_caller_that_fails_is_told_in_words(profile: Any) -> None:
    boto3 = pytest.importorskip("boto3")
    profile("credential_process = echo hello", "region = us-east-1")
    aws = connect(session=boto3.Session(profile_name="p"), endpoint_url="http://127.0.0.1:9")

    with pytest.raises(errors.CredentialsError, match=r"profile `p`.* did not return JSON"):
        aws.call("ec2", "describe_regions")
