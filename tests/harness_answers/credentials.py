"""Credentials that cannot work, as they come from a secret store, a helper or a sign-in."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from secrets import token_urlsafe
from typing import Final

from tests.key_ids import key_id

KEY: Final = key_id("111122223333")
Environment = dict[str, str]


def good() -> Environment:
    """Return a key that is well formed; no AWS knows it."""
    return {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": token_urlsafe(30)}


def _profile(folder: Path, *lines: str) -> Environment:
    path = folder / "aws-config"
    path.write_text("\n".join(["[profile broken]", "region = us-east-1", *lines, ""]))
    return {"AWS_CONFIG_FILE": str(path), "AWS_PROFILE": "broken"}


def _newline(_: Path) -> Environment:
    return {**good(), "AWS_ACCESS_KEY_ID": f"{KEY}\n"}


def _blank(_: Path) -> Environment:
    return {**good(), "AWS_SECRET_ACCESS_KEY": f"{token_urlsafe(30)} "}


def _expired(folder: Path) -> Environment:
    answer = {
        "Version": 1,
        "AccessKeyId": KEY,
        "SecretAccessKey": token_urlsafe(30),
        "SessionToken": token_urlsafe(30),
        "Expiration": "2020-01-01T00:00:00Z",
    }
    (folder / "answer").write_text(json.dumps(answer))
    return _profile(folder, f"credential_process = cat {folder / 'answer'}")


def _no_json(folder: Path) -> Environment:
    return _profile(folder, "credential_process = echo hello")


def _no_program(folder: Path) -> Environment:
    return _profile(folder, f"credential_process = {folder / 'nowhere'}")


def _mfa(folder: Path) -> Environment:
    return _profile(
        folder,
        "role_arn = arn:aws:iam::111122223333:role/administrator",
        "source_profile = keys",
        "mfa_serial = arn:aws:iam::111122223333:mfa/device",
        "[profile keys]",
        f"aws_access_key_id = {KEY}",
        f"aws_secret_access_key = {token_urlsafe(30)}",
    )


def _none(_: Path) -> Environment:
    return {}


KINDS: Final[dict[str, Callable[[Path], Environment]]] = {
    "none": _none,
    "a newline after the key id": _newline,
    "a blank after the secret": _blank,
    "an expired credential_process": _expired,
    "a credential_process without JSON": _no_json,
    "a credential_process that is not there": _no_program,
    "MFA without a terminal": _mfa,
}
"""The environment of each; what needs files writes them into the folder given."""
