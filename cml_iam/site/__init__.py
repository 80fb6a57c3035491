"""The site file `cml-iam.toml`: where CML Cloud Manager may use its permissions."""

from typing import TYPE_CHECKING

from cml_iam.later import later

if TYPE_CHECKING:
    from cml_iam.facts import Partition
    from cml_iam.restrict import GRANTS, OPTIONS, RESTRICTIONS, Grants, Restrictions, Tag
    from cml_iam.site._file import load_site, parse_site, site_text
    from cml_iam.site._model import (
        Application,
        Credentials,
        Eks,
        Fleet,
        Idle,
        Oidc,
        RolesAnywhere,
        Site,
        WorkerProfile,
    )
    from cml_iam.site._names import DEFAULT_POLICY, DEFAULT_USER, IDLE_RULES, TRUSTS, Trust

__getattr__ = later(__name__)
