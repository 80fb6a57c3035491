"""What a sandbox can be told to suffer: the pace, the delays and the refusals of the real AWS.

A sandbox without any is as quick and as consistent as it can be. docs/sandbox.md has the form of
the file they come from.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from fnmatch import fnmatchcase
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from cml_iam.errors import InputError
from cml_iam.files import regular_text
from cml_iam.located import parse_toml

if TYPE_CHECKING:
    from collections.abc import Mapping

_SERVICES: Final = (
    "cloudtrail",
    "cloudwatch",
    "ec2",
    "events",
    "iam",
    "logs",
    "s3",
    "secretsmanager",
    "sns",
    "ssm",
    "sts",
)


@dataclass(frozen=True, slots=True)
class Seconds:
    """How long things take, in seconds of the sandbox's clock.

    *pending*, *stopping* and *shutting_down* are an instance's; *status_checks* what both checks
    take after it runs. The rest is eventual consistency: until a *new_instance* is found by who
    describes it, until a *new_access_key* is known, until a *policy_change* is in force.
    https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html
    """

    pending: float = 0.0
    status_checks: float = 0.0
    stopping: float = 0.0
    shutting_down: float = 0.0
    new_instance: float = 0.0
    new_access_key: float = 0.0
    policy_change: float = 0.0


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket of *size* tokens that gets *refill* back every second."""

    size: float
    refill: float


@dataclass(frozen=True, slots=True)
class Buckets:
    """What a call takes from: a token of *requests*, and one of *resources* for each instance."""

    requests: Bucket
    resources: Bucket | None = None


@dataclass(frozen=True, slots=True)
class Shortage:
    """No capacity for an *instance_type* in a *zone*; both may hold wildcards."""

    instance_type: str = "*"
    zone: str = "*"


@dataclass(frozen=True, slots=True)
class Refusal:
    """What befalls calls of *operation* (`ec2:RunInstances`, `ec2:*`).

    The first *after* calls are let through, the next *times* are affected, None all of them. With
    a *code* the call is refused before it does anything. *lost* does it and closes the connection
    without an answer. *seconds* is how long the answer, or its loss, takes.
    """

    operation: str
    code: str = ""
    message: str = "Refused as the sandbox was told."
    status: int = 400
    after: int = 0
    times: int | None = None
    lost: bool = False
    seconds: float = 0.0

    def befalls(self, action: str, earlier: int) -> bool:
        """Say whether this befalls a call of *action* that *earlier* ones came before."""
        late = self.times is not None and earlier >= self.after + self.times
        return fnmatchcase(action, self.operation) and earlier >= self.after and not late


@dataclass(frozen=True, slots=True)
class Conditions:
    """Everything a sandbox is told to suffer; by default nothing."""

    throttle: bool = False
    metrics_since_launch: bool = False
    agent_needs_profile: bool = False
    seconds: Seconds = Seconds()
    buckets: Mapping[str, Buckets] = field(default_factory=lambda: MappingProxyType({}))
    no_capacity: tuple[Shortage, ...] = ()
    refuse: tuple[Refusal, ...] = ()


AS_AWS: Final = Conditions(
    throttle=True,
    metrics_since_launch=True,
    agent_needs_profile=True,
    seconds=Seconds(
        pending=10,
        status_checks=60,
        stopping=20,
        shutting_down=20,
        new_instance=2,
        new_access_key=5,
        policy_change=5,
    ),
)
"""As slow and as busy as AWS: buckets by its pages, times of the order its pages and users name."""


def load_conditions(path: Path) -> Conditions:
    """Read the conditions of a sandbox from the TOML file *path*; raises InputError."""
    return parse_conditions(regular_text(path), str(path))


def parse_conditions(text: str, name: str = "faults") -> Conditions:
    """Return the conditions the TOML *text* called *name* describes; raises InputError."""
    conditions: Conditions = _Reader(name).read(
        parse_toml(text, name).value, Conditions, "the file"
    )
    return conditions


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads what the file *name* says."""

    name: str

    def check(self, held: bool, said: str) -> None:
        if not held:
            raise InputError(f"{self.name}: {said}", remedy="see docs/sandbox.md")

    def read(self, raw: Any, kind: Any, where: str) -> Any:
        """Return the *kind* of conditions that the table *raw* has."""
        self.check(isinstance(raw, dict), f"{where} is a table")
        known = {each.name: str(each.type) for each in fields(kind)}
        for key in raw:
            self.check(key in known, f"{where} has no `{key}`; it has {', '.join(known)}")
        first = next(iter(known))
        needed = first if kind in (Refusal, Buckets) else ""
        self.check(not needed or needed in raw, f"{where} needs its `{needed}`")
        value = kind(
            **{key: self._value(each, known[key], key, where) for key, each in raw.items()}
        )
        if kind is Refusal:
            self._check_refusal(value)
        return value

    def _value(self, raw: Any, kind: str, key: str, where: str) -> Any:
        match kind:
            case "bool":
                self.check(isinstance(raw, bool), f"`{key}` is true or false")
            case "float" | "int" | "int | None":
                number = type(raw) is int or (kind == "float" and type(raw) is float)
                self.check(number and raw >= 0, f"`{key}` is a number from 0")
            case "str":
                self.check(isinstance(raw, str), f"`{key}` is a text")
            case "Seconds":
                return self.read(raw, Seconds, f"[{key}]")
            case "Bucket" | "Bucket | None":
                return self._bucket(raw, where)
            case "Mapping[str, Buckets]":
                self.check(isinstance(raw, dict), f"[{key}] is a table")
                return MappingProxyType({name: self.read(raw[name], Buckets, name) for name in raw})
            case _:
                self.check(isinstance(raw, list), f"[[{key}]] is a list of tables")
                listed = Shortage if key == "no_capacity" else Refusal
                return tuple(self.read(each, listed, f"[[{key}]]") for each in raw)
        return raw

    def _bucket(self, raw: Any, where: str) -> Bucket:
        pair = isinstance(raw, list) and len(raw) == 2
        numbers = pair and all(type(each) in (int, float) and each >= 0 for each in raw)
        self.check(numbers, f"a bucket of `{where}` is its size and its refill: [5, 2]")
        return Bucket(float(raw[0]), float(raw[1]))

    def _check_refusal(self, refusal: Refusal) -> None:
        """Refuse what could befall nothing, and what would do nothing."""
        service = refusal.operation.partition(":")[0]
        self.check(
            service in _SERVICES and ":" in refusal.operation,
            f"`{refusal.operation}` is not an operation of {', '.join(_SERVICES)}; an example is "
            "`ec2:RunInstances`",
        )
        does = bool(refusal.code) or refusal.lost or refusal.seconds > 0
        self.check(does, f"[[refuse]] for `{refusal.operation}` needs `code`, `lost` or `seconds`")
        self.check(400 <= refusal.status < 600, "`status` is that of an error in HTTP: 400 to 599")
