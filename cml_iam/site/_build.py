"""A Site made of what a site file holds, which the schema has accepted."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from cml_iam.clock import parse_length
from cml_iam.restrict import grants_from, restrictions_from
from cml_iam.site._model import (
    DEFAULT_BOUNDARY,
    DEFAULT_GUARD,
    DEFAULT_POLICY,
    DEFAULT_USER,
    IDLE_RULES,
    Credentials,
    Eks,
    Fleet,
    Idle,
    Oidc,
    RolesAnywhere,
    Site,
    WorkerProfile,
)


def site_from(value: Mapping[str, Any]) -> Site:
    """Return the site that *value* describes."""
    account, principal = value["account"], value.get("principal", {})
    role = principal.get("role")
    eks = value.get("eks")
    return Site(
        account=account["id"],
        partition=account.get("partition", "aws"),
        role=role,
        user=None if role else principal.get("user", DEFAULT_USER),
        path=principal.get("path", "/"),
        policy=principal.get("policy", DEFAULT_POLICY),
        boundary=principal.get("boundary", DEFAULT_BOUNDARY),
        guard=principal.get("guard", DEFAULT_GUARD),
        restrict=restrictions_from(value.get("restrict", {})),
        grant=grants_from(value.get("grant", {})),
        eks=Eks(**eks) if eks else None,
        roles_anywhere=RolesAnywhere(**value["roles_anywhere"])
        if "roles_anywhere" in value
        else None,
        oidc=Oidc(**value["oidc"]) if "oidc" in value else None,
        ecs_region=value.get("ecs", {}).get("region"),
        audit_names=MappingProxyType(value.get("audit", {})),
        workers=MappingProxyType(
            {name: _worker_profile(name, raw) for name, raw in value.get("workers", {}).items()}
        ),
        idle=_idle(value.get("idle", {})),
        fleet=Fleet(**value.get("fleet", {})),
        credentials=Credentials(**value.get("credentials", {})),
        expected=MappingProxyType(
            {name: tuple(each) for name, each in value.get("expected", {}).items()}
        ),
        kinds=MappingProxyType(value.get("lint", {}).get("kinds", {})),
    )


def _idle(raw: Mapping[str, Any]) -> Idle:
    values = {name: raw[name] for name in IDLE_RULES.values() if name in raw}
    if "window" in raw:
        values["window"] = parse_length(raw["window"])
    left_out = {
        IDLE_RULES[rule]: None for rule in set(IDLE_RULES) - set(raw.get("rules", IDLE_RULES))
    }
    return Idle(**{**values, **left_out})


def _worker_profile(name: str, raw: Mapping[str, Any]) -> WorkerProfile:
    def frozen(value: Any) -> Any:
        if isinstance(value, Mapping):
            return MappingProxyType(dict(value))
        return tuple(value) if isinstance(value, list) else value

    return WorkerProfile(name, **{key: frozen(value) for key, value in raw.items()})
