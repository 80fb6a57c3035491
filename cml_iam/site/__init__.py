"""The site file `cml-iam.toml`: where CML Cloud Manager may use its permissions."""

from cml_iam.facts import Partition
from cml_iam.restrict import GRANTS, OPTIONS, RESTRICTIONS, Grants, Restrictions, Tag
from cml_iam.site._model import (
    DEFAULT_BOUNDARY,
    DEFAULT_GUARD,
    DEFAULT_POLICY,
    DEFAULT_USER,
    IDLE_RULES,
    TRUSTS,
    Application,
    Audit,
    Credentials,
    Eks,
    Fleet,
    Idle,
    Oidc,
    RolesAnywhere,
    Site,
    Trust,
    Virtualization,
    WorkerProfile,
)
from cml_iam.site._read import load_site, parse_site
from cml_iam.site._write import site_text

__all__ = [
    "DEFAULT_BOUNDARY",
    "DEFAULT_GUARD",
    "DEFAULT_POLICY",
    "DEFAULT_USER",
    "GRANTS",
    "IDLE_RULES",
    "OPTIONS",
    "RESTRICTIONS",
    "TRUSTS",
    "Application",
    "Audit",
    "Credentials",
    "Eks",
    "Fleet",
    "Grants",
    "Idle",
    "Oidc",
    "Partition",
    "Restrictions",
    "RolesAnywhere",
    "Site",
    "Tag",
    "Trust",
    "Virtualization",
    "WorkerProfile",
    "load_site",
    "parse_site",
    "site_text",
]
