"""The audit's own rules, beside lint's, from `policies/audit-rules.toml`."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType

from cml_iam.lint import Severity
from cml_iam.shipped import shipped_text


@dataclass(frozen=True, slots=True)
class AuditRule:
    """One rule of the audit; *remedy* applies where the finding has none of its own."""

    id: str
    name: str
    severity: Severity
    title: str
    page: str
    remedy: str


@cache
def audit_rules() -> Mapping[str, AuditRule]:
    """Return every rule of the audit, by id."""
    raw = tomllib.loads(shipped_text("policies", "audit-rules.toml"))["rule"]
    rules = (AuditRule(**each | {"severity": Severity[each["severity"].upper()]}) for each in raw)
    return MappingProxyType({each.id: each for each in rules})
