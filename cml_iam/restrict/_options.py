"""The options of `[restrict]` and `[grant]`: their values, and their JSON Schema with its help."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Any, Final, NamedTuple, Protocol

from cml_iam.facts import Partition
from cml_iam.tag import Tag


@dataclass(frozen=True, slots=True)
class Restrictions:
    """The restrictions and their values; empty or None means not restricted."""

    regions: tuple[str, ...] = ()
    guard_tag: Tag | None = None
    instance_types: tuple[str, ...] = ()
    image_owners: tuple[str, ...] = ()
    image_tag: Tag | None = None
    images: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    subnets: tuple[str, ...] = ()
    security_groups: tuple[str, ...] = ()
    source_ips: tuple[str, ...] = ()
    imdsv2: bool = False
    on_demand_only: bool = False
    encrypted_volumes: bool = False
    mfa_to_terminate: bool = False

    @property
    def active(self) -> frozenset[str]:
        """The restrictions that are present, by name; `images` is by id, owner or tag."""
        present = {option.name for option in fields(self) if getattr(self, option.name)}
        return frozenset("images" if name.startswith("image_") else name for name in present)

    @property
    def other_images(self) -> bool:
        """Whether images are allowed by owner or tag in regions that list none."""
        return bool(self.image_owners or self.image_tag)


@dataclass(frozen=True, slots=True)
class Grants:
    """Permissions beyond the documented ones; *pass_role* is the name of a role."""

    pass_role: str | None = None
    metric_data: bool = False
    detailed_monitoring: bool = False
    instance_type_details: bool = False

    @property
    def active(self) -> frozenset[str]:
        """The active grants, by their names in the site file."""
        return frozenset(option.name for option in fields(self) if getattr(self, option.name))


class Restricted(Protocol):
    """The parts of a site that a restriction reads."""

    @property
    def account(self) -> str: ...
    @property
    def partition(self) -> Partition: ...
    @property
    def user(self) -> str | None: ...
    @property
    def restrict(self) -> Restrictions: ...
    @property
    def grant(self) -> Grants: ...


class Option(NamedTuple):
    """An option of the site file.

    *schema* is its JSON Schema, whose description is the help text; *read* converts a valid value
    for `Restrictions` or `Grants`.
    """

    name: str
    schema: Mapping[str, Any]
    read: Callable[[Any], Any]


class Contradiction(NamedTuple):
    """Options that exclude each other, at the value at *path* in the site file, or its *name*."""

    message: str
    path: tuple[str | int, ...]
    remedy: str | None = None
    name: bool = False


def flag(name: str, description: str) -> Option:
    """Return a boolean option."""
    return Option(name, {"description": description, "type": "boolean", "default": False}, bool)


def listed(name: str, description: str, pattern: str, problem: str) -> Option:
    """Return an option for a list of strings that match *pattern*; *problem* describes it."""
    items = {"type": "string", "pattern": pattern, "x-problem": problem}
    return Option(name, {"description": description, **list_of(items)}, tuple)


def id_schema(noun: str, prefix: str) -> dict[str, str]:
    """Return the schema of an id of AWS, such as `ami-0a1b2c3d`; *noun* is `an image id`."""
    problem = f'{noun} is "{prefix}-" and 8 or 17 hexadecimal digits'
    pattern = f"^{prefix}-([0-9a-f]{{8}}|[0-9a-f]{{17}})$"
    return {"type": "string", "pattern": pattern, "x-problem": problem}


def ids(name: str, description: str, noun: str, prefix: str) -> Option:
    """Return an option for a list of ids of AWS."""
    schema = {"description": description, **list_of(id_schema(noun, prefix))}
    return Option(name, schema, tuple)


def list_of(items: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema of a non-empty list of unique *items*."""
    return {"type": "array", "minItems": 1, "uniqueItems": True, "items": items}


def tag(name: str, description: str, problem: str) -> Option:
    """Return an option for one tag."""
    schema = {
        "description": description,
        "type": "object",
        "minProperties": 1,
        "maxProperties": 1,
        "x-problem": problem,
        "propertyNames": {"$ref": "#/$defs/tag_key"},
        "additionalProperties": {"$ref": "#/$defs/tag_value"},
    }
    return Option(name, schema, lambda raw: Tag(*next(iter(raw.items()))))


REGION: Final = {"$ref": "#/$defs/region"}
