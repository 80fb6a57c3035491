"""Whose credentials the application's clients use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cml_iam.aws import connect
from cml_iam.errors import InputError
from cml_iam.secret import Secret

if TYPE_CHECKING:
    from cml_iam.aws import Aws

Given = Any
"""An object with an access key's attributes, a boto3 session, or a connection."""

_KEY_ID = ("access_key_id", "aws_access_key_id")
_SECRET = ("secret_access_key", "aws_secret_access_key")
_TOKEN = ("session_token", "aws_session_token")
_REGION = ("region", "aws_region", "region_name")


def connected(credentials: Given) -> Aws:
    """Return the connection that *credentials* make.

    An access key is read from the attributes `aws_access_key_id` and `aws_secret_access_key` (or
    without `aws_`), with `aws_session_token` and `aws_region` where there are any. None is what
    boto3 finds by itself. Raises InputError for anything else, and what `connect` raises.
    """
    if credentials is None:
        return connect()
    if hasattr(credentials, "call") and hasattr(credentials, "pages"):
        aws: Aws = credentials
        return aws
    if hasattr(credentials, "get_credentials"):
        return connect(session=credentials)
    key_id, secret = _attribute(credentials, _KEY_ID), _attribute(credentials, _SECRET)
    if not key_id or not secret:
        raise InputError(
            "these credentials have no access key",
            remedy="pass an object with `aws_access_key_id` and `aws_secret_access_key`, "
            "a boto3 session, or what `cml_iam.connect` returns",
        )
    token = _attribute(credentials, _TOKEN)
    return connect(
        access_key=str(_plain(key_id)),
        secret_key=_secret(secret),
        session_token=_secret(token) if token else None,
        region=_plain(_attribute(credentials, _REGION)),
    )


def _attribute(given: object, names: tuple[str, ...]) -> Any:
    return next((value for name in names if (value := getattr(given, name, None))), None)


def _plain(value: Any) -> Any:
    """Return *value*, or that of an enum or of a secret of another library."""
    if hasattr(value, "get_secret_value"):
        return value.get_secret_value()
    return getattr(value, "value", value)


def _secret(value: Any) -> Secret:
    return value if isinstance(value, Secret) else Secret(str(_plain(value)))
