"""The common base of the application's clients: credentials, errors and result classes."""

from __future__ import annotations

from collections.abc import Awaitable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal, Protocol, Self, TypeAlias, TypeVar, cast

from cml_iam import errors
from cml_iam.aws import Aws, Session, connect
from cml_iam.errors import InputError
from cml_iam.secret import Secret
from cml_iam.tag import DEFAULT_TAG, Tag
from cml_iam.workers import AsyncWorkerManager, Worker, WorkerManager

Answer = TypeVar("Answer")

Doing = Literal["creation", "operation", "status", "tags"]
"""The kind of call, for failures without a more specific class."""


@dataclass(frozen=True, slots=True)
class Exceptions:
    """The application's exception classes; each takes one argument, the message.

    A kind without a class is raised as *base*, or without *base* as the error from
    `cml_iam.errors`. The cml-iam error is always the cause (`__cause__`).
    """

    base: type[Exception] | None = None
    authentication: type[Exception] | None = None
    instance_not_found: type[Exception] | None = None
    quota_exceeded: type[Exception] | None = None
    invalid_parameter: type[Exception] | None = None
    instance_creation: type[Exception] | None = None
    instance_operation: type[Exception] | None = None
    status_check: type[Exception] | None = None
    tag_operation: type[Exception] | None = None

    def class_of(self, error: errors.CmlIamError, doing: Doing) -> type[Exception] | None:
        """Return the application's class for *error*, or None to raise it unchanged."""
        particular = next(
            (name for kinds, name in _KINDS if isinstance(error, kinds)), _DOING[doing]
        )
        if doing == "creation" and isinstance(error, errors.NotFoundError):
            particular = "invalid_parameter"  # an image or subnet is missing
        kind: type[Exception] | None = getattr(self, particular)
        return kind or self.base

    @contextmanager
    def raised(self, doing: Doing) -> Iterator[None]:
        """In the block, raise the application's exceptions instead of cml-iam's."""
        try:
            yield
        except errors.CmlIamError as error:
            kind = self.class_of(error, doing)
            if kind is None:
                raise
            remedy = f" ({error.remedy})" if error.remedy else ""
            raise kind(f"{error.message}{remedy}") from error


_KINDS: Final = (
    ((errors.CredentialsError, errors.DeniedError), "authentication"),
    ((errors.NotFoundError,), "instance_not_found"),
    ((errors.LimitError, errors.CapacityError, errors.ThrottledError), "quota_exceeded"),
    ((errors.InputError, errors.RequestError), "invalid_parameter"),
)
_DOING: Final[dict[Doing, str]] = {
    "creation": "instance_creation",
    "operation": "instance_operation",
    "status": "status_check",
    "tags": "tag_operation",
}


class AccessKey(Protocol):
    """An access key with boto3's names; each part is text, or an object that holds it."""

    @property
    def aws_access_key_id(self) -> object: ...
    @property
    def aws_secret_access_key(self) -> object: ...


class ShortAccessKey(Protocol):
    """An access key whose names lack the prefix `aws_`."""

    @property
    def access_key_id(self) -> object: ...
    @property
    def secret_access_key(self) -> object: ...


AnyCredentials: TypeAlias = "Session | Aws | AccessKey | ShortAccessKey | None"
"""A boto3 session, a connection, or an access key with an optional region."""


def connected(credentials: AnyCredentials) -> Aws:
    """Return a connection for *credentials*: a boto3 session, a connection, or an access key.

    An access key has the attributes `aws_access_key_id` and `aws_secret_access_key`, and optionally
    `aws_session_token` and `aws_region`, all with or without `aws_`. None means boto3's default
    search. Raises InputError for anything else, and the errors of `connect`.
    """
    if credentials is None:
        return connect()
    if hasattr(credentials, "call") and hasattr(credentials, "pages"):
        return cast("Aws", credentials)
    if hasattr(credentials, "get_credentials"):
        return connect(session=cast("Session", credentials))
    key_id = _attribute(credentials, "access_key_id")
    secret = _attribute(credentials, "secret_access_key")
    if not key_id or not secret:
        raise InputError(
            "these credentials have no access key",
            remedy="pass an object with `aws_access_key_id` and `aws_secret_access_key`, "
            "a boto3 session, or what `cml_iam.connect` returns",
        )
    token = _attribute(credentials, "session_token")
    return connect(
        access_key=str(_plain(key_id)),
        secret_key=_secret(secret),
        session_token=_secret(token) if token else None,
        region=_plain(_attribute(credentials, "region") or _attribute(credentials, "region_name")),
    )


def _attribute(credentials: object, name: str) -> Any:
    return getattr(credentials, name, None) or getattr(credentials, f"aws_{name}", None)


def _plain(value: Any) -> Any:
    """Return *value*, or the plain value of an enum or of another library's secret."""
    if hasattr(value, "get_secret_value"):
        return value.get_secret_value()
    return getattr(value, "value", value)


def _secret(value: Any) -> Secret:
    return value if isinstance(value, Secret) else Secret(str(_plain(value)))


class Client:
    """The base of the application's clients.

    *credentials* are an object with an access key's attributes, a boto3 session, or a connection of
    `cml_iam.connect`. *guard* is the tag that every launch sets; it must be the site's guard tag.
    *owners* are the accounts whose images are found by name; `self` means the caller's own.
    *exceptions* has the application's exception classes; without it, errors are those of
    `cml_iam.errors`.
    """

    def __init__(
        self,
        credentials: AnyCredentials,
        *,
        guard: Tag = DEFAULT_TAG,
        owners: Sequence[str] = ("self",),
        exceptions: Exceptions | None = None,
    ) -> None:
        self.manager = AsyncWorkerManager(WorkerManager(connected(credentials), guard=guard))
        self.owners = tuple(owners)
        self._exceptions = exceptions or Exceptions()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the client; it makes no further calls."""
        self.manager.close()

    async def _image_ids(self, name: str, region: str | None = None) -> list[str]:
        answer = self.manager.get_ami_ids_by_name(f"*{name}*", region=region, owners=self.owners)
        return list(await self._answer("operation", answer))

    async def _answer(self, doing: Doing, answer: Awaitable[Answer]) -> Answer:
        with self._exceptions.raised(doing):
            return await answer

    async def _done(self, doing: Doing, answer: Awaitable[object]) -> bool:
        await self._answer(doing, answer)
        return True

    async def _answer_or_none(self, doing: Doing, answer: Awaitable[Answer]) -> Answer | None:
        """Return the answer, or None if AWS knows no such resource."""
        with self._exceptions.raised(doing):
            try:
                return await answer
            except errors.NotFoundError:
                return None


@dataclass(frozen=True, slots=True)
class Credentials:
    """An access key with its region, for `AwsEc2SpiClient`.

    A secret given as text is stored as a `Secret`, so that repr never shows it.
    """

    access_key_id: str
    secret_access_key: Secret | str
    region: str | None = None
    session_token: Secret | str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "secret_access_key", _secret(self.secret_access_key))
        if self.session_token is not None:
            object.__setattr__(self, "session_token", _secret(self.session_token))


@dataclass(frozen=True, slots=True)
class AmiDetails:
    """An image; *ami_creation_date* is AWS's own string."""

    ami_id: str
    ami_name: str
    ami_description: str | None
    ami_creation_date: str


@dataclass(frozen=True, slots=True)
class Instance:
    """A newly launched instance; *id* is *aws_instance_id*."""

    id: str
    aws_instance_id: str
    aws_region: str
    instance_name: str
    ami_id: str
    ami_name: str
    instance_type: str
    security_group_ids: list[str]
    subnet_id: str | None
    instance_state: str
    key_pair_name: str | None
    public_ip: str | None
    private_ip: str | None
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class InstanceDetails:
    """An instance; *launch_time_relative* is the time since its start, such as `3h 12m`."""

    id: str
    type: str
    state: str
    image_id: str
    name: str
    launch_timestamp: datetime | None
    launch_time_relative: str
    public_ip: str | None
    private_ip: str | None


@dataclass(frozen=True, slots=True)
class ResourcesUtilization:
    """Means over the window, in percent; None if CloudWatch has no data."""

    id: str
    region_name: str
    relative_start_time: str
    start_time: datetime
    end_time: datetime
    avg_cpu_utilization: float | None
    avg_memory_utilization: float | None


@dataclass(frozen=True, slots=True)
class InstanceState:
    """An instance and its state; *state_reason* is EC2's reason for the last change."""

    instance_id: str
    state: str
    state_reason: str | None
    public_ip: str | None
    private_ip: str | None
    instance_type: str
    launch_time: datetime | None
    image_id: str
    name: str


@dataclass(frozen=True, slots=True)
class Ec2Metrics:
    """The last values of an instance's metrics; None if CloudWatch has no data.

    *cpu_utilization* is in percent; the others count bytes or operations in one period, as
    CloudWatch reports them; *timestamp* is the start of the last period, in UTC.
    """

    instance_id: str
    cpu_utilization: float | None
    network_in_bytes: float | None
    network_out_bytes: float | None
    disk_read_ops: float | None
    disk_write_ops: float | None
    timestamp: datetime | None


def instance_details(worker: Worker) -> InstanceDetails:
    return InstanceDetails(
        worker.id,
        worker.instance_type,
        worker.state,
        worker.image_id,
        worker.name,
        worker.launched_at,
        _ago(worker.launched_at, datetime.now(UTC)),
        worker.public_ip,
        worker.private_ip,
    )


def instance_state(worker: Worker) -> InstanceState:
    return InstanceState(
        worker.id,
        worker.state,
        worker.state_reason,
        worker.public_ip,
        worker.private_ip,
        worker.instance_type,
        worker.launched_at,
        worker.image_id,
        worker.name,
    )


def _ago(at: datetime | None, now: datetime) -> str:
    if at is None:
        return ""
    age = max(now - at, timedelta())
    hours, seconds = divmod(age.seconds, 3600)
    parts = ((age.days, "d"), (hours, "h"), (seconds // 60, "m"), (seconds % 60, "s"))
    units = [f"{count}{unit}" for count, unit in parts if count]
    return " ".join(units[:2]) or "0s"
