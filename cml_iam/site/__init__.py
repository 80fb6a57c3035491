"""The site file `cml-iam.toml`: where CML Cloud Manager may use its permissions."""

from cml_iam.facts import Partition
from cml_iam.restrict import GRANTS, OPTIONS, RESTRICTIONS, Grants, Restrictions, Tag
from cml_iam.site._file import load_site, parse_site, site_text
from cml_iam.site._model import (
    DEFAULT_POLICY,
    DEFAULT_USER,
    IDLE_RULES,
    TRUSTS,
    Application,
    Credentials,
    Eks,
    Fleet,
    Idle,
    Oidc,
    RolesAnywhere,
    Site,
    Trust,
    WorkerProfile,
)
