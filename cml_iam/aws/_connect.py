"""Connections to AWS: one session, one client per service and region, typed errors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

from botocore.config import Config

from cml_iam import errors
from cml_iam._version import __version__
from cml_iam.aws._errors import BOTOCORE_ERRORS, as_error
from cml_iam.aws._reading import leave_unread
from cml_iam.aws._session import (
    CONNECT_TIMEOUT,
    configured_region,
    make_client,
    make_session,
    need_operation,
    redact,
    session_like,
    unwrap,
    wrap,
)
from cml_iam.aws._source import Source, load_credentials, source_in
from cml_iam.aws.port import Aws, Identity, Session, is_read
from cml_iam.facts import first_region, known_regions, meant_region, partition_of
from cml_iam.secret import Secret

# botocore 1.44 sends a request up to 3 times, 1.43 sent it up to 5 times. Set here so that an
# upgrade changes nothing.
ATTEMPTS = 5
READ_TIMEOUT = 30.0
CONNECTIONS = 32
"""The maximum number of open connections per client, one for each concurrent thread."""

_ONCE = Config(retries={"mode": "standard", "total_max_attempts": 1})
_GLOBAL_SERVICES = ("iam", "sts")
_GLOBAL_REGION = "us-east-1"
_LARGE = ("ec2", "cloudwatch")
_NO_SUCH_KEY = ("AuthFailure", "InvalidClientTokenId", "UnrecognizedClientException")


def connect(
    *,
    session: Session | None = None,
    profile: str | None = None,
    region: str | None = None,
    endpoint_url: str | None = None,
    read_only: bool = False,
    expect_account: str | None = None,
    origin: str = "",
    access_key: str | None = None,
    secret_key: Secret | None = None,
    session_token: Secret | None = None,
    attempts: int = ATTEMPTS,
    connect_timeout: float = CONNECT_TIMEOUT,
    read_timeout: float = READ_TIMEOUT,
) -> Aws:
    """Connect to AWS with the default credentials, or with *access_key* and *secret_key*.

    *session* is the boto3 session of the calling application. Its credentials are used, and the
    session refreshes them; its region is used if *region* is not given. The session itself and its
    clients are not changed.

    Otherwise the region is the first of *region*, AWS_REGION, AWS_DEFAULT_REGION, and the
    profile's. The endpoint is the first of *endpoint_url*, AWS_ENDPOINT_URL_<SERVICE>,
    AWS_ENDPOINT_URL, and AWS's own. A call is sent up to *attempts* times (standard mode); timeouts
    are in seconds, per attempt. A response that takes longer than twice *read_timeout* in total, is
    larger than 32 MiB, or does not come from AWS raises UnreachableError.

    *origin* says where the user named the profile or key; see `source_of`. *read_only* refuses
    every call that would change something. *expect_account* refuses every call unless the
    credentials belong to that account. Both raise RefusedError before anything is sent.

    Raises CredentialsError for an unknown profile, and InputError for an unusable configuration, or
    for a session combined with a profile or a key.
    """
    if session is None:
        own = make_session(profile, access_key, secret_key, session_token, origin)
        default = configured_region(own)
    elif profile or access_key:
        raise errors.InputError("pass either a session, or a profile or access key")
    else:
        own = session_like(session)
        default = session.region_name
    return _RealAws(
        session=own,
        region=region or default,
        endpoint_url=endpoint_url,
        read_only=read_only,
        expect_account=expect_account,
        config=Config(
            connect_timeout=connect_timeout,
            read_timeout=read_timeout,
            retries={"mode": "standard", "total_max_attempts": attempts},
            max_pool_connections=CONNECTIONS,
            user_agent_extra=f"cml-iam/{__version__}",
        ),
    )


def source_of(aws: Aws) -> Source | None:
    """Return where the credentials of *aws* come from, or None if there are none.

    Raises CredentialsError if a configured provider fails.
    """
    return source_in(aws.session) if isinstance(aws, _RealAws) else None


@dataclass(slots=True)
class _AccountCheck:
    """Compares the account once; concurrent threads share the request."""

    passed: bool = False
    requests: int = 0
    failure: errors.CmlIamError | None = None
    lock: Lock = field(default_factory=Lock)

    def once(self, identify: Callable[[], Identity], expected: str) -> None:
        """Raise RefusedError unless *identify* returns the account *expected*, or its error."""
        if self.passed:
            return
        before = self.requests
        with self.lock:
            if self.requests == before:
                self.failure = None
                try:
                    check_account(identify(), expected)
                except errors.CmlIamError as error:
                    self.failure = error
                self.requests += 1
            if self.failure is not None:
                raise self.failure


def check_account(identity: Identity, expected: str) -> None:
    """Raise RefusedError unless *identity* belongs to the account *expected*."""
    if identity.account != expected:
        raise errors.RefusedError(
            f"these credentials belong to account `{identity.account}` (`{identity.arn}`), but "
            f"account `{expected}` is expected",
            remedy="use credentials of that account (--profile), or correct the account: "
            "`account.id` of the site file, or --expect-account",
        )


@dataclass(slots=True, repr=False)
class _RealAws:
    session: Any
    region: str | None
    endpoint_url: str | None
    read_only: bool
    expect_account: str | None
    config: Config
    _clients: dict[tuple[str, str | None, bool], Any] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)
    _account: _AccountCheck = field(default_factory=_AccountCheck)

    def call(
        self,
        service: str,
        operation: str,
        *,
        region: str | None = None,
        once: bool = False,
        **parameters: Any,
    ) -> dict[str, Any]:
        self._guard(service, operation, parameters)
        secrets: list[str] = []
        plain = unwrap(parameters, secrets)
        client = self._client(service, operation, region, once)
        try:
            answer = getattr(client, operation)(**plain)
        except BOTOCORE_ERRORS as error:
            failure = self._failed(error, client, service, operation, secrets)
        else:
            answer.pop("ResponseMetadata", None)
            # Large responses belong to reads, and contain no secret.
            large = service in _LARGE and is_read(service, operation)
            wrapped: dict[str, Any] = answer if large else wrap(answer)
            return wrapped
        # Raised outside the handler, so that no botocore exception with the whole request stays
        # attached.
        raise failure

    def pages(
        self,
        service: str,
        operation: str,
        key: str,
        *,
        region: str | None = None,
        **parameters: Any,
    ) -> Iterator[Any]:
        self._guard(service, operation, parameters)
        secrets: list[str] = []
        plain = unwrap(parameters, secrets)
        client = self._client(service, operation, region)
        try:
            _check_key(client, operation, key)
            if client.can_paginate(operation):
                pages = client.get_paginator(operation).paginate(**plain)
            else:
                pages = [getattr(client, operation)(**plain)]
            for page in pages:
                yield from _drained(page, key) if service in _LARGE else page.get(key) or ()
        except BOTOCORE_ERRORS as error:
            failure = self._failed(error, client, service, operation, secrets)
        else:
            return
        raise failure

    def identity(self) -> Identity:
        answer = self.call("sts", "get_caller_identity")
        identity = Identity(answer["Account"], answer["Arn"], answer["UserId"])
        if identity.account == self.expect_account:
            self._account.passed = True
        return identity

    def _failed(
        self, error: Exception, client: Any, service: str, operation: str, secrets: list[str]
    ) -> errors.CmlIamError:
        """Return our exception for *error*, without the *secrets* of the request."""
        failure = as_error(error, service, operation, client.meta.endpoint_url)
        failure = self._of_region(failure, service, client.meta.region_name)
        failure.message = redact(failure.message, secrets)
        failure.args = (failure.message,)
        return failure

    def _of_region(
        self, failure: errors.CmlIamError, service: str, region: str
    ) -> errors.CmlIamError:
        """Return *failure*, or a more specific error if only *region* refuses the credential.

        If a region is not enabled for the account, it answers as if the key did not exist.
        https://docs.aws.amazon.com/accounts/latest/reference/manage-acct-regions.html
        """
        if service in _GLOBAL_SERVICES or not isinstance(failure, errors.CredentialsError):
            return failure
        if failure.code not in _NO_SUCH_KEY:
            return failure
        try:
            first = first_region(partition_of(region))
            self.call("sts", "get_caller_identity", region=first)
        except errors.CmlIamError:
            return failure
        regions = known_regions(partition_of(region))
        doubt = None if region in regions else meant_region(region, regions)
        return errors.NotOfferedError(
            f"{failure.message}: {region} refuses a credential that STS accepts in {first}",
            code=failure.code,
            operation=failure.operation,
            remedy=doubt
            or f"run `cml-iam doctor regions`: is {region} enabled? A new key may need a minute",
        )

    def _guard(self, service: str, operation: str, parameters: dict[str, Any]) -> None:
        reads = is_read(service, operation, parameters)
        if self.read_only and not reads:
            raise errors.RefusedError(
                f"`{service}:{operation}` is a change, but only reads are allowed",
                remedy="omit --read-only (or unset CML_IAM_READ_ONLY)",
            )
        if self.expect_account and service != "sts":
            try:
                self._account.once(self.identity, self.expect_account)
            except errors.CredentialsError:
                # If AWS does not accept the credential, the service's own error says why.
                if not reads:
                    raise

    def _client(self, service: str, operation: str, region: str | None, once: bool = False) -> Any:
        where = region or self.region
        if where is None and service in _GLOBAL_SERVICES:
            where = _GLOBAL_REGION
        key = (service, where, once)
        # botocore's sessions cannot safely create clients in parallel (boto3 issue 1592).
        with self._lock:
            load_credentials(self.session)  # here, so that a failing provider is explained
            client = self._clients.get(key)
            if client is None or (service == "ec2" and not hasattr(client, operation)):
                if service == "ec2":
                    need_operation(self.session, operation)
                config = self.config.merge(_ONCE) if once else self.config
                client = make_client(self.session, service, where, self.endpoint_url, config)
                if service == "ec2":
                    leave_unread(client)
                self._clients[key] = client
            return client


def _drained(page: dict[str, Any], key: str) -> Iterator[Any]:
    """Yield the elements of *key*, and release each one, so that the whole page is not kept.

    Not for services that build the next page's token from elements of this page.
    """
    elements = list(reversed(page.pop(key, None) or ()))
    while elements:
        yield elements.pop()


def _check_key(client: Any, operation: str, key: str) -> None:
    """Raise for a misspelled *key*, which would otherwise look like an empty list."""
    name = client.meta.method_to_api_mapping[operation]
    members = client.meta.service_model.operation_model(name).output_shape.members
    if key not in members:
        raise ValueError(f"{name} answers no {key}; it has {', '.join(members)}")
