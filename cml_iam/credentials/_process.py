"""A key for another program: its environment, its credential_process, a shell that asked."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING

from cml_iam.credentials import _dotenv

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from cml_iam.credentials._keys import AccessKey

_STRONGER = ("AWS_PROFILE", "AWS_DEFAULT_PROFILE", *_dotenv.TOKENS)


def child_environment(key: AccessKey, environment: Mapping[str, str]) -> dict[str, str]:
    """Return *environment* with *key*, and without what would be used in its place or with it."""
    kept = {name: value for name, value in environment.items() if name not in _STRONGER}
    return {**kept, _dotenv.ID: key.id, _dotenv.SECRET: key.secret.reveal()}


def process_answer(key: AccessKey, until: datetime) -> str:
    """Return what a credential_process prints; the SDK asks again at *until*.

    https://docs.aws.amazon.com/sdkref/latest/guide/feature-process-credentials.html
    """
    return json.dumps(
        {
            "Version": 1,
            "AccessKeyId": key.id,
            "SecretAccessKey": key.secret.reveal(),
            "Expiration": until.isoformat(timespec="seconds"),
        }
    )


def export_lines(key: AccessKey) -> str:
    """Return the commands of a shell that set *key*."""
    pair = {_dotenv.ID: key.id, _dotenv.SECRET: key.secret.reveal()}
    return "\n".join(f"export {name}={shlex.quote(value)}" for name, value in pair.items())
