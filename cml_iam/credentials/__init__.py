"""Access keys: create a key once, and deliver it to a store without ever losing it."""

from typing import TYPE_CHECKING

from cml_iam.later import later

if TYPE_CHECKING:
    from cml_iam.credentials._delivery import KeyPlan, deliver, plan_key
    from cml_iam.credentials._env_file import (
        EnvFile,
        child_environment,
        export_lines,
        process_answer,
        read_env_key,
        variables,
    )
    from cml_iam.credentials._formats import Manifest
    from cml_iam.credentials._keys import (
        AccessKey,
        KeyInfo,
        KeyUse,
        account_of,
        ask_health,
        is_key_id,
        key_use,
        list_keys,
        prove_key,
    )
    from cml_iam.credentials._places import absolute_store, file_of_store, open_store
    from cml_iam.credentials._revocation import (
        delete,
        deletion_step,
        revocation_step,
        revoke,
        rollback,
        rollback_step,
    )
    from cml_iam.credentials._rotation import Status, resume, rotate, rotation_status, rotation_step
    from cml_iam.credentials._rotation_state import Progress, Rotator, Schedule, read_user
    from cml_iam.credentials._store import Delivery, Store, Together, parts_of, store_locked

__getattr__ = later(__name__)
