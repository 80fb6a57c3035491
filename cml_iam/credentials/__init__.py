"""Access keys: made once, delivered to a store, and never lost on the way."""

from cml_iam.credentials._delivery import (
    Delivery,
    KeyPlan,
    await_key,
    deliver,
    plan_key,
    try_key,
)
from cml_iam.credentials._env_file import EnvFile
from cml_iam.credentials._files import locked
from cml_iam.credentials._keys import (
    AccessKey,
    KeyInfo,
    KeyUse,
    SignIn,
    account_of,
    create_key,
    delete_key,
    key_use,
    list_keys,
    update_key,
)
from cml_iam.credentials._proof import prove_key
from cml_iam.credentials._revocation import Revoked, revoke
from cml_iam.credentials._rotation import (
    Outcome,
    Rotator,
    Schedule,
    resume,
    rollback,
    rotate,
)
from cml_iam.credentials._rotation_state import Rotation, read_user
from cml_iam.credentials._store import Contents, Store

__all__ = [
    "AccessKey",
    "Contents",
    "Delivery",
    "EnvFile",
    "KeyInfo",
    "KeyPlan",
    "KeyUse",
    "Outcome",
    "Revoked",
    "Rotation",
    "Rotator",
    "Schedule",
    "SignIn",
    "Store",
    "account_of",
    "await_key",
    "create_key",
    "delete_key",
    "deliver",
    "key_use",
    "list_keys",
    "locked",
    "plan_key",
    "prove_key",
    "read_user",
    "resume",
    "revoke",
    "rollback",
    "rotate",
    "try_key",
    "update_key",
]
