"""botocore's session: its credentials, configuration and response parsing."""

from __future__ import annotations

import os
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from cml_iam import errors
from cml_iam.aws._errors import as_error, botocore_errors
from cml_iam.aws._reading import reader
from cml_iam.aws._secrets import silence

if TYPE_CHECKING:
    from cml_iam.aws.port import Session
    from cml_iam.secret import Secret


ORIGIN: Final = "cml-iam.origin"
"""botocore's session keeps by this name who named the profile, or where the key is from."""


def make_session(
    profile: str | None = None,
    access_key: str | None = None,
    secret_key: Secret | None = None,
    session_token: Secret | None = None,
    origin: str = "",
) -> Any:
    """Return botocore's session, marked with *origin*; see `connect`, also for its errors."""
    if (access_key is None) != (secret_key is None):
        raise errors.InputError("an access key needs both its id and its secret")
    import botocore.session

    session = botocore.session.Session(profile=profile)
    silence()
    session.register_component(ORIGIN, origin)
    session.register_component("response_parser_factory", reader())
    if access_key is not None and secret_key is not None:
        token = session_token.reveal() if session_token else None
        session.set_credentials(access_key, secret_key.reveal(), token)
    try:
        session.get_scoped_config()  # reads the files: a missing profile or a broken file shows
        session.register_component("data_loader", _loader(session.get_config_variable("data_path")))
    except botocore_errors() as error:
        failure = as_error(error, "", "")
    else:
        return session
    raise failure


def session_like(given: Session) -> Any:
    """Return a botocore session with the credentials and region of the boto3 session *given*.

    The credentials are the same object, so *given* refreshes them: an assumed role's, single
    sign-on's, the instance's. Everything else belongs to a session of our own, so that *given* and
    its clients stay unchanged.
    """
    session = make_session(given.profile_name if given.profile_name != "default" else None)
    session.register_component("credential_provider", _Given(given))
    return session


class _Given:
    """A provider of the credentials of *session*; if it fails, the first call reports why."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def load_credentials(self) -> Any:
        """Return the credentials."""
        return self._session.get_credentials()


@cache
def _loader(data_path: str | None) -> Any:
    """Return the loader of botocore's models, shared by the process: EC2's takes half a second."""
    from botocore.loaders import create_loader

    loader = create_loader(data_path)
    # For each kind of file it would walk the folders of 430 services to know whether one is there;
    # that one is not shows when it is read, by an error of the same class.
    vars(loader)["list_available_services"] = lambda _: _Every()
    return loader


class _Every:
    """A container that contains every name."""

    def __contains__(self, name: object) -> bool:
        return True


def configured_region(session: Any) -> str | None:
    """Return the region that the environment or the profile names."""
    named = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    return named or session.get_config_variable("region")
