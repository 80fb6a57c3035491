"""Find where the current credentials come from, which others they override, and what is wrong."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from getpass import GetPassWarning
from typing import Any, Final

from cml_iam import errors
from cml_iam.aws._errors import BOTOCORE_ERRORS, as_error
from cml_iam.aws._session import ORIGIN
from cml_iam.secret import remember
from cml_iam.visible import visible

# By botocore's name, in the order in which it asks its providers.
# https://docs.aws.amazon.com/sdkref/latest/guide/standardized-credentials.html
_PROVIDERS: Final = {
    "env": "the environment: AWS_ACCESS_KEY_ID",
    "assume-role": "a role that {profile} assumes",
    "assume-role-with-web-identity": "a role assumed with a web identity: AWS_ROLE_ARN",
    "sso": "the single sign-on of {profile}",
    "shared-credentials-file": "{name} in {credentials}{named}",
    "login": "the sign-in of {profile}: `aws login`",
    "custom-process": "the credential_process of {profile}",
    "config-file": "{name} in {config}{named}",
    "ec2-credentials-file": "the file in AWS_CREDENTIAL_FILE",
    "boto-config": "boto's own configuration file",
    "container-role": "the container: its task role or EKS Pod Identity",
    "iam-role": "the instance: the role of its instance profile",
}


@dataclass(frozen=True, slots=True)
class Source:
    """The origin of a credential; *unused* has the other places with one, which it overrides."""

    words: str
    key_id: str
    temporary: bool
    unused: tuple[str, ...] = ()


def source_in(session: Any) -> Source | None:
    """Return where the credentials of *session* come from, or None without any.

    The session loads them once, so a credential process or sign-in does not run again. Raises as
    `load_credentials`.
    """
    loaded = load_credentials(session)
    if loaded is None:
        return None
    method, credential = loaded
    return Source(
        _in_words(session, method),
        credential.access_key,
        bool(credential.token),
        _unused(method, session.instance_variables().get("profile")),
    )


def load_credentials(session: Any) -> tuple[str, Any] | None:
    """Return botocore's name of the provider and its checked credential, or None without one.

    Raises CredentialsError if a provider fails, or for a credential that cannot be sent in a
    header.
    """
    try:
        with _asking_on_a_terminal_alone(session):
            credentials = session.get_credentials()
            frozen = credentials.get_frozen_credentials() if credentials else None
    except BOTOCORE_ERRORS as error:
        failure = _named(session, as_error(error, "", ""))
    except _FAILURES_OF_PROVIDERS as error:
        failure = _failed(session, error)
    else:
        if frozen is None:
            return None
        for value in filter(None, (frozen.secret_key, frozen.token)):
            remember(value)
        _check(session, credentials.method, frozen)
        return credentials.method, frozen
    raise failure


@contextmanager
def _asking_on_a_terminal_alone(session: Any) -> Iterator[None]:
    """Raise instead of prompting for an MFA code if the input could not be hidden."""
    if "mfa_serial" not in session.get_scoped_config():
        yield
        return
    with warnings.catch_warnings():
        warnings.simplefilter("error", GetPassWarning)
        yield


# Exceptions that botocore's providers pass on for an unexpected program, file or response.
_FAILURES_OF_PROVIDERS: Final = (
    AttributeError,
    EOFError,
    KeyError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    GetPassWarning,
)
_BY_HAND: Final = "run it by hand to see its output"


def _failed(session: Any, error: Exception) -> errors.CredentialsError:
    """Translate *error* of a provider, without showing any of the provider's output."""
    remedy = _BY_HAND
    match error:
        case EOFError() | GetPassWarning():
            problem = "needs an MFA code, but there is no terminal to enter it"
            remedy = (
                "run the command on a terminal, or sign in first and use the session: "
                "`aws sts assume-role`"
            )
        case OSError():
            program = f"`{error.filename}`: " if error.filename else ""
            problem = f"cannot be used: {program}{(error.strerror or str(error)).lower()}"
            remedy = "install the program, or correct its path in the profile"
        case RuntimeError() if "expired" in str(error):
            problem = "returned an expired credential"
            remedy = f"renew it; {_BY_HAND}"
        case _:
            content = "JSON" if isinstance(error, ValueError) else "a credential"
            problem = f"did not return {content}"
    source = _in_words(session, _configured(session))
    return errors.CredentialsError(f"{source} {problem}", remedy=remedy)


def _named(session: Any, failure: errors.CmlIamError) -> errors.CmlIamError:
    """Return *failure* with the credential's source added, unless it already names the source."""
    named = f"profile `{session.profile or 'default'}`"
    if isinstance(failure, errors.CredentialsError) and named not in failure.message:
        failure.message = f"{_in_words(session, _configured(session))}: {failure.message}"
        failure.args = (failure.message,)
    return failure


def _check(session: Any, method: str, frozen: Any) -> None:
    """Raise CredentialsError for a key with a character that is invalid in a request header.

    https://docs.aws.amazon.com/IAM/latest/APIReference/API_AccessKey.html
    """
    for variable, name, value in (
        ("AWS_ACCESS_KEY_ID", "the access key id", frozen.access_key),
        ("AWS_SECRET_ACCESS_KEY", "the secret access key", frozen.secret_key),
        ("AWS_SESSION_TOKEN", "the session token", frozen.token),
    ):
        wrong = _wrong_in(value or "")
        if wrong:
            whose = variable if method == "env" else f"{name} of {_in_words(session, method)}"
            raise errors.CredentialsError(
                f"{whose} {wrong}",
                remedy="remove it: write the value with `printf %s` or `kubectl create secret "
                "--from-literal`, not with `echo` or an editor",
            )


def _wrong_in(value: str) -> str:
    """Describe what is invalid in *value*, as a phrase to follow its name."""
    if value.startswith(("'", '"')):
        return "is in quotation marks"
    odd = _NOT_VISIBLE_ASCII.search(value)
    if odd is None:
        return ""
    names = {"\n": "a newline", "\r": "a carriage return", " ": "a blank", "\t": "a tab"}
    character = names.get(odd[0], f"the character `{visible(odd[0])}`")
    at_end = not _VISIBLE_ASCII.search(value, odd.end())
    return f"ends with {character}" if at_end else f"has {character} in it"


_VISIBLE_ASCII: Final = re.compile(r"[\x21-\x7e]")
_NOT_VISIBLE_ASCII: Final = re.compile(r"[^\x21-\x7e]")


def _in_words(session: Any, method: str) -> str:
    origin = session.get_component(ORIGIN)
    if method == "explicit":
        return origin or "the caller"
    named = session.instance_variables().get("profile")
    how = f"named by {origin or '--profile'}" if named else ""
    name = f"profile `{session.profile or 'default'}`"
    return _PROVIDERS.get(method, method).format(
        name=name,
        named=f" ({how})" if how else "",
        profile=f"{name} {how}".rstrip(),
        credentials=f"`{session.get_config_variable('credentials_file')}`",
        config=f"`{session.get_config_variable('config_file')}`",
    )


def _configured(session: Any) -> str:
    """Return botocore's name of the provider that the profile configures and that failed."""
    profile = session.get_scoped_config()
    for setting, method in _SETTINGS.items():
        if setting in profile:
            return method
    return "container-role" if _in_container() else "iam-role"


_SETTINGS: Final = {
    "web_identity_token_file": "assume-role-with-web-identity",
    "role_arn": "assume-role",
    "sso_session": "sso",
    "sso_start_url": "sso",
    "login_session": "login",
    "credential_process": "custom-process",
}


def _unused(method: str, profile: str | None) -> tuple[str, ...]:
    """Return the other places with a credential, which are overridden but may seem to be in use."""
    places = []
    if method != "env" and os.environ.get("AWS_ACCESS_KEY_ID"):
        places.append(f"AWS_ACCESS_KEY_ID of the environment, because profile `{profile}` is named")
    if method == "env" and (named := os.environ.get("AWS_PROFILE")):
        places.append(f"AWS_PROFILE (`{named}`), because the environment's key comes first")
    if method == "env" and os.environ.get("AWS_ROLE_ARN"):
        places.append("AWS_ROLE_ARN, because the environment's key comes first")
    if method in ("env", "shared-credentials-file") and _in_container():
        places.append("the container's role, because a key comes first")
    return tuple(places)


def _in_container() -> bool:
    return any(
        os.environ.get(f"AWS_CONTAINER_CREDENTIALS_{form}_URI") for form in ("FULL", "RELATIVE")
    )
