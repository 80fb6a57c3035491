"""The site file `cml-iam.toml`: where CML Cloud Manager may do what the catalogue says."""

from cml_iam.site._model import (
    DEFAULT_BOUNDARY,
    DEFAULT_GUARD,
    DEFAULT_POLICY,
    DEFAULT_USER,
    GRANTS,
    LAUNCH_RESTRICTIONS,
    OPTIONS,
    RESTRICTIONS,
    Audit,
    Eks,
    Grants,
    Partition,
    Restrictions,
    Site,
    Tag,
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
    "LAUNCH_RESTRICTIONS",
    "OPTIONS",
    "RESTRICTIONS",
    "Audit",
    "Eks",
    "Grants",
    "Partition",
    "Restrictions",
    "Site",
    "Tag",
    "Virtualization",
    "WorkerProfile",
    "load_site",
    "parse_site",
    "site_text",
]
