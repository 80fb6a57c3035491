"""Where the credentials in use come from, and which others they win over."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, Final

from cml_iam.aws._connect import make_session
from cml_iam.aws._errors import as_error, botocore_errors

# botocore's names of its providers, in the order it asks them.
# https://docs.aws.amazon.com/sdkref/latest/guide/standardized-credentials.html
_WORDS: Final = {
    "env": "the environment: AWS_ACCESS_KEY_ID",
    "assume-role": "a role that {profile} assumes",
    "assume-role-with-web-identity": "a role assumed with a web identity: AWS_ROLE_ARN",
    "sso": "the single sign-on of {profile}",
    "shared-credentials-file": "{profile} in {credentials}",
    "login": "the sign-in of {profile}: `aws login`",
    "custom-process": "the credential_process of {profile}",
    "config-file": "{profile} in {config}",
    "ec2-credentials-file": "the file in AWS_CREDENTIAL_FILE",
    "boto-config": "boto's own configuration file",
    "container-role": "the container: its task role or EKS Pod Identity",
    "iam-role": "the instance: the role of its instance profile",
}


@dataclass(frozen=True, slots=True)
class Source:
    """Where a credential comes from: botocore's name of it, and in words.

    *kind* is flag, environment, profile, process, sign-in, role, container or instance.
    *unused* are places that hold a credential too, and lose.
    """

    kind: str
    method: str
    said: str
    key_id: str
    temporary: bool
    unused: tuple[str, ...] = ()


_KINDS: Final = {
    "env": "environment",
    "assume-role": "role",
    "assume-role-with-web-identity": "role",
    "sso": "sign-in",
    "login": "sign-in",
    "shared-credentials-file": "profile",
    "config-file": "profile",
    "ec2-credentials-file": "profile",
    "boto-config": "profile",
    "custom-process": "process",
    "container-role": "container",
    "iam-role": "instance",
}


def find_source(profile: str | None = None) -> Source | None:
    """Return where the credentials come from that a connection with *profile* uses, or None.

    The secret is not kept. Raises CredentialsError where a source is there and fails, and
    InputError for files that cannot be read.
    """
    session = make_session(profile)
    try:
        found = session.get_credentials()
        frozen = found.get_frozen_credentials() if found else None
    except botocore_errors() as error:
        failure = as_error(error, "", "")
    else:
        if found is None or frozen is None:
            return None
        temporary = bool(frozen.token)
        return _source(session, found.method, frozen.access_key, profile, temporary=temporary)
    raise failure


def _source(
    session: Any, method: str, key_id: str, profile: str | None, *, temporary: bool
) -> Source:
    named = profile or session.profile or "default"
    how = " named by --profile" if profile else ""
    said = _WORDS.get(method, method).format(
        profile=f"profile `{named}`{how}",
        credentials=f"`{session.get_config_variable('credentials_file')}`",
        config=f"`{session.get_config_variable('config_file')}`",
    )
    kind = "flag" if profile else _KINDS.get(method, method)
    return Source(kind, method, said, key_id, temporary, _unused(method, profile))


def _unused(method: str, profile: str | None) -> tuple[str, ...]:
    """Return the places that hold a credential too: what somebody may believe to be in use."""
    found = []
    if method != "env" and os.environ.get("AWS_ACCESS_KEY_ID"):
        found.append(f"AWS_ACCESS_KEY_ID of the environment, because profile `{profile}` is named")
    if method == "env" and (named := os.environ.get("AWS_PROFILE")):
        found.append(f"AWS_PROFILE (`{named}`), because the environment's key comes first")
    if method == "env" and os.environ.get("AWS_ROLE_ARN"):
        found.append("AWS_ROLE_ARN, because the environment's key comes first")
    if method in ("env", "shared-credentials-file") and _in_container():
        found.append("the container's role, because a key comes first")
    return tuple(found)


def _in_container() -> bool:
    return any(
        os.environ.get(f"AWS_CONTAINER_CREDENTIALS_{form}_URI") for form in ("FULL", "RELATIVE")
    )
