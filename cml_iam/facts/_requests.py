"""The condition keys that requests have, their names, and what a proof may assume about them.

A wrong line in `policies/condition-keys.toml` makes a proof wrong, so each cites its page, and
every verdict lists those that it used. Some keys have two names, a global one and EC2's own:
https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/iam-policy-structure.html#amazon-ec2-keys
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, lru_cache
from typing import Any, Final, Literal, NamedTuple

from cml_iam.facts._arns import first_region
from cml_iam.facts._keys import Keys, key_data
from cml_iam.facts._partitions import PARTITIONS
from cml_iam.facts._service import EXACT_SERVICES, is_unknown_key, service, updated

_EC2_KEYS: Final = (
    "https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/iam-policy-structure.html#amazon-ec2-keys"
)


class Twins(NamedTuple):
    """A key with two names; names that end in a slash are followed by a tag key.

    Requests to *services* (prefixes of actions) have both names, all others only *plain*.
    """

    plain: str
    other: str
    services: tuple[str, ...]
    page: str


TWINS: Final = (
    Twins("aws:RequestedRegion", "ec2:Region", ("ec2",), _EC2_KEYS),
    Twins("aws:ResourceTag/", "ec2:ResourceTag/", ("ec2", "ec2-instance-connect"), _EC2_KEYS),
)


TAGGING: Final = ("ec2:CreateTags", "ec2:DeleteTags")

LATER: Final = {"Null": {"ec2:CreateAction": "true"}}
"""The condition that tags are for an existing resource.

EC2 sends ec2:CreateAction for tags that it sets during creation:
https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/supported-iam-actions-tagging.html
"""


@lru_cache(1 << 13)
def twins(key: str) -> Twins | None:
    """Return both names of *key*, which may be either of them, or None if it has only one."""
    prefix, slash, _ = key.lower().partition("/")
    for pair in TWINS:
        if prefix + slash in (pair.plain.lower(), pair.other.lower()):
            return pair
    return None


@lru_cache(1 << 13)
def same_key(key: str) -> str:
    """Return one name for all names of a condition key, in lower case."""
    pair = twins(key)
    return (pair.plain + _tag(key)).lower() if pair else key.lower()


@lru_cache(1 << 13)
def every_name(key: str) -> tuple[str, ...]:
    """Return all names of *key*: `aws:RequestedRegion` and `ec2:Region` for either of them."""
    pair = twins(key)
    return (pair.plain + _tag(key), pair.other + _tag(key)) if pair else (key,)


@lru_cache(1 << 13)
def names_of(key: str, action: str) -> tuple[str, ...]:
    """Return the names under which a request for *action* has *key*, with the same value.

    Requests to EC2 have both `ec2:Region` and `aws:RequestedRegion`, others only the latter.
    """
    pair = twins(key)
    names = every_name(key)
    both = pair is None or action.partition(":")[0].lower() in pair.services
    return names if both else names[:1]


def is_region(key: str) -> bool:
    """Return whether *key* holds the region of the request."""
    return same_key(key) == "aws:requestedregion"


def _tag(key: str) -> str:
    return key.partition("/")[2]


Kind = Literal[
    "always",
    "signed",
    "absent",
    "filled",
    "id",
    "with",
    "whole",
    "least",
    "global",
    "account",
    "partitions",
    "typed",
    "resource",
    "region",
    "tags",
    "limit",
    "listed",
    "names",
    "reading",
    "partition",
]

REFERENCE: Final = (
    "https://docs.aws.amazon.com/service-authorization/latest/reference/"
    "reference_policies_actions-resources-contextkeys.html"
)
OPERATORS: Final = (
    "https://docs.aws.amazon.com/IAM/latest/UserGuide/"
    "reference_policies_elements_condition_operators.html"
)
TAG_KEYS: Final = "aws:tagkeys"
REQUEST_TAG: Final = "aws:requesttag/"
RESOURCE_TAG: Final = "aws:resourcetag/"
REGION: Final = "aws:requestedregion"


class Assumption(NamedTuple):
    """An assumption about all requests, or those for *action*; *page* is its source.

    A verdict relies on it. *text* names *action*, if there is one.
    """

    kind: Kind
    about: str
    text: str
    page: str
    action: str = ""

    def as_json(self) -> dict[str, str]:
        """Return the assumption and its page as JSON values."""
        return {"kind": self.kind, "text": self.text, "page": self.page}

    def of_action(self, action: str) -> Assumption:
        """Return the same assumption for the requests for another *action*."""
        if not self.action:
            return self
        return self._replace(text=self.text.replace(self.action, action), action=action)


class KnownKey(NamedTuple):
    """The facts about a condition key; *always*: present, perhaps only for one resource *type*.

    *signed*: present in all signed requests; *whole*: an integer; *least*: its minimum; *filled*:
    never an empty list; *actions*: the only actions whose requests have it.
    """

    name: str
    page: str
    always: bool = False
    type: str = ""
    signed: bool = False
    whole: bool = False
    least: int | None = None
    filled: bool = False
    actions: tuple[str, ...] = ()


def known_key(key: str) -> KnownKey | None:
    """Return the facts about *key* (in any spelling), or None."""
    return _known().get(same_key(key))


@lru_cache(1 << 13)
def never_with(key: str, action: str, keys: Keys | None) -> Assumption | None:
    """Return why requests for *action* never have *key*, or None if they may.

    *keys* are the keys of the resource type, if the service reference is exact.
    """
    name = same_key(key)
    entry = _known().get(name)
    if entry and entry.actions and action.lower() not in {a.lower() for a in entry.actions}:
        text = f"only requests for {' and '.join(entry.actions)} have {entry.name}"
        return Assumption("absent", name, text, entry.page)
    prefix, owner = _prefix(action), key.partition(":")[0].lower()
    if is_unknown_key(key) and (owner == "aws" or service(owner)):
        text = f"AWS has no condition key {key} (by the service reference of {updated()})"
        return Assumption("absent", name, text, REFERENCE)
    if keys is None or prefix not in EXACT_SERVICES or not _of_service(name, prefix):
        return None
    if any(map(keys.has, every_name(key))):
        return None
    text = (
        f"requests for {action} have {key} only where the service reference ({updated()}) says so"
    )
    return Assumption("absent", name, text, REFERENCE, action)


def under_names(key: str, action: str) -> Assumption | None:
    """Return the assumption about the names of *key* in requests for *action*, or None."""
    pair = twins(key)
    if pair is None:
        return None
    plain, other = every_name(key)
    if other in names_of(key, action):
        text = f"requests to {_prefix(action)} have {plain} and {other}, with the same value"
    else:
        text = f"only requests to {' and '.join(pair.services)} have {other}"
    return Assumption("names", same_key(key), text, pair.page)


@cache
def singular_actions() -> tuple[str, ...]:
    """Return the actions whose requests have a key that no other action of their service has."""
    return tuple(dict.fromkeys(name for entry in _known().values() for name in entry.actions))


@cache
def only_with(key: str) -> tuple[str, str, Assumption] | None:
    """Return the other key, and its value, that every request with *key* also has."""
    for entry in _entries("with", key):
        text = f"a request has {entry['name']} only if {entry['other']} is {entry['value']}"
        taken = Assumption("with", same_key(key), text, entry["page"])
        return same_key(entry["other"]), entry["value"], taken
    return None


@cache
def id_of(key: str, kind: str) -> Assumption | None:
    """Return why *key* holds the id in the ARN of a resource of the type *kind*, or None."""
    for entry in _entries("id", key):
        if entry["type"] == kind:
            text = f"{entry['name']} is the id in the ARN of the {kind}"
            return Assumption("id", same_key(key), text, entry["page"])
    return None


def _entries(table: str, key: str) -> list[dict[str, Any]]:
    return [entry for entry in key_data()[table] if same_key(entry["name"]) == same_key(key)]


def region_is_of_resource(action: str) -> str | None:
    """Return the page which says that a request's region is the one in the ARN, or None."""
    entry = _entry_of_action("region", action)
    return str(entry["page"]) if entry else None


def region_of_endpoint(action: str) -> Assumption | None:
    """Return why requests for *action* go to the first region of their partition, or None."""
    entry = _entry_of_action("global", action)
    if entry is None:
        return None
    regions = " or ".join(map(first_region, PARTITIONS))
    text = f"requests to {entry['service']} are sent to {regions}, by partition"
    return Assumption("global", REGION, text, entry["page"])


def _entry_of_action(table: str, action: str) -> dict[str, Any] | None:
    """Return the entry of the service of *action*, unless the action is an exception."""
    for entry in key_data()[table]:
        excepted = [name.lower() for name in entry["except"]]
        if _prefix(action) == entry["service"] and action.lower() not in excepted:
            return dict(entry)
    return None


def _of_service(name: str, prefix: str) -> bool:
    tags = name == TAG_KEYS or name.startswith((REQUEST_TAG, RESOURCE_TAG))
    return tags or name.startswith(f"{prefix}:")


def _prefix(action: str) -> str:
    return action.partition(":")[0].lower()


@cache
def _known() -> Mapping[str, KnownKey]:
    data = key_data()
    by_key = {}
    for entry in (*data["key"], *data["only"]):
        fields = {"page": f"{data['page']}#{entry.get('anchor')}"} | entry
        fields.pop("anchor", None)
        fields["actions"] = tuple(entry.get("actions", ()))
        by_key[same_key(entry["name"])] = KnownKey(**fields)
    return by_key
