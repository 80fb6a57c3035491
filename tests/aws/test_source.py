"""Where credentials come from is told for each source that botocore knows and we can be given.

https://docs.aws.amazon.com/sdkref/latest/guide/standardized-credentials.html
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from secrets import token_urlsafe
from typing import Any

import pytest

from cml_iam import errors
from cml_iam.aws import Source, connect, source_of
from tests.key_ids import key_id

KEY = "AKIAIOSFODNN7EXAMPLE"
HANDED_OUT = key_id("111122223333", "ASIA")


@pytest.fixture
def profiles(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Two profiles, one of them a process, and no credential in the environment."""
    path = tmp_path / "credentials"
    path.write_text(
        f"[files]\naws_access_key_id = {KEY}\naws_secret_access_key = {token_urlsafe(30)}\n"
    )
    answer = {"Version": 1, "AccessKeyId": KEY, "SecretAccessKey": token_urlsafe(30)}
    (tmp_path / "answer.json").write_text(json.dumps(answer))
    (tmp_path / "config").write_text(
        f"[profile process]\ncredential_process = cat {tmp_path / 'answer.json'}\n"
        "[profile broken]\ncredential_process = false\n"
    )
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(path))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    return path


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", token_urlsafe(30))


@pytest.fixture
def hands_out() -> Iterator[str]:
    """A service as containers and instances have it; its URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            made = {
                "Code": "Success",
                "Type": "AWS-HMAC",
                "AccessKeyId": HANDED_OUT,
                "SecretAccessKey": token_urlsafe(30),
                "Token": token_urlsafe(30),
                "Expiration": "2099-01-01T00:00:00Z",
            }
            named = self.path.endswith("/security-credentials/")
            self._answer(b"manager" if named else json.dumps(made).encode())

        def do_PUT(self) -> None:
            self._answer(b"token")

        def _answer(self, body: bytes) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def find_source(profile: str | None = None) -> Source | None:
    return source_of(connect(profile=profile))


def test_nothing_anywhere_is_none() -> None:
    assert find_source() is None


@pytest.mark.usefixtures("environment")
def test_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    found = find_source()

    assert found is not None
    assert found == Source("the environment: AWS_ACCESS_KEY_ID", KEY, temporary=False)
    monkeypatch.setenv("AWS_SESSION_TOKEN", token_urlsafe(30))
    later = find_source()
    assert later is not None
    assert later.temporary


@pytest.mark.usefixtures("environment")
def test_a_profile_named_wins_over_the_environment(profiles: Path) -> None:
    found = find_source("files")

    assert found is not None
    assert found.words == f"profile `files` in `{profiles}` (named by --profile)"
    assert found.unused == (
        "AWS_ACCESS_KEY_ID of the environment, because profile `files` is named",
    )


@pytest.mark.usefixtures("environment", "profiles")
def test_the_environment_wins_over_aws_profile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "files")

    found = find_source()

    assert found is not None
    assert found.words == "the environment: AWS_ACCESS_KEY_ID"
    assert found.unused == ("AWS_PROFILE (`files`), because the environment's key comes first",)


@pytest.mark.usefixtures("profiles")
@pytest.mark.parametrize(
    ("name", "words"),
    [("files", "profile `files` in"), ("process", "the credential_process")],
)
def test_a_profile_of_the_files(monkeypatch: pytest.MonkeyPatch, name: str, words: str) -> None:
    monkeypatch.setenv("AWS_PROFILE", name)

    found = find_source()

    assert found is not None
    assert found.key_id == KEY
    assert found.words.startswith(words)


@pytest.mark.usefixtures("profiles")
def test_a_source_that_fails_is_no_other_source() -> None:
    with pytest.raises(errors.CredentialsError):
        find_source("broken")


def test_a_container(monkeypatch: pytest.MonkeyPatch, hands_out: str) -> None:
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{hands_out}/creds")

    found = find_source()

    assert found is not None
    assert found.words == "the container: its task role or EKS Pod Identity"
    assert found.temporary


@pytest.mark.usefixtures("environment")
def test_a_key_wins_over_the_containers_role(
    monkeypatch: pytest.MonkeyPatch, hands_out: str
) -> None:
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{hands_out}/creds")

    found = find_source()

    assert found is not None
    assert found.unused == ("the container's role, because a key comes first",)


def test_an_instance(monkeypatch: pytest.MonkeyPatch, hands_out: str) -> None:
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "false")
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", f"{hands_out}/")

    found = find_source()

    assert found is not None
    assert found.key_id == HANDED_OUT
    assert "instance profile" in found.words


@pytest.mark.usefixtures("environment")
def test_no_secret_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    secret = token_urlsafe(30)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", secret)

    assert secret not in repr(find_source())
