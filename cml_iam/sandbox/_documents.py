"""The policy documents IAM takes, and its words for those it does not.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements.html
https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_policies.html
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from cml_iam.engine import AttachedPolicy
from cml_iam.errors import CmlIamError
from cml_iam.policy import MANAGED_POLICY_CHARACTERS, load_policy, policy_size
from cml_iam.sandbox._faults import Fault
from cml_iam.sandbox._guard import compiled
from cml_iam.sandbox._world import Policies

if TYPE_CHECKING:
    from cml_iam.policy import PolicyDocument, Statement

TRUST_CHARACTERS: Final = 2048
"""The longest trust policy, unless a quota was raised."""

_SID: Final = re.compile("[0-9A-Za-z]*")
_SID_SAID: Final = (
    "Statement IDs (SID) must be alpha-numeric. Check that your input satisfies the regular "
    "expression [0-9A-Za-z]*"
)


def check_document(text: str, limit: int | None = MANAGED_POLICY_CHARACTERS) -> None:
    """Raise Fault unless *text* is an identity-based policy the engine understands and IAM takes.

    Identity-based policies name resources and no principals: whom they are attached to is meant.
    """
    for statement in _checked(text).statements:
        if statement.principal is not None or statement.not_principal is not None:
            raise _malformed("Policy document should not specify a principal.")
        if statement.resource is None and statement.not_resource is None:
            raise _malformed("Policy statement must contain resources.")
    try:
        authorizer = compiled(Policies((AttachedPolicy("policy", text),)), None)
    except CmlIamError as error:
        raise _malformed(error.message) from error
    if authorizer.problems:
        raise _malformed(str(authorizer.problems[0]))
    if limit is not None and policy_size(text) > limit:
        raise Fault("LimitExceeded", f"Cannot exceed quota for PolicySize: {limit}", 409)


def check_trust(text: str) -> None:
    """Raise Fault unless *text* is a trust policy IAM takes: principals, and no resources."""
    for statement in _checked(text).statements:
        if statement.principal is None and statement.not_principal is None:
            raise _malformed("Missing required field Principal")
        if statement.resource is not None or statement.not_resource is not None:
            raise _malformed("Has prohibited field Resource")
        if not all(each.lower().startswith("sts:") for each in _actions(statement)):
            said = "AssumeRole policy may only specify STS AssumeRole actions."
            raise _malformed(said)
    if policy_size(text) > TRUST_CHARACTERS:
        said = f"Cannot exceed quota for ACLSizePerRole: {TRUST_CHARACTERS}"
        raise Fault("LimitExceeded", said, 409)


def _checked(text: str) -> PolicyDocument:
    try:
        document = load_policy(text, "policy")
    except CmlIamError as error:
        raise _malformed(error.message) from error
    seen: set[str] = set()
    for statement in document.statements:
        sid = statement.sid or ""
        if not _SID.fullmatch(sid):
            raise _malformed(_SID_SAID)
        if sid and sid in seen:
            raise _malformed("Statement IDs (SID) in a single policy must be unique.")
        seen.add(sid)
    return document


def _actions(statement: Statement) -> tuple[str, ...]:
    return statement.action or statement.not_action or ()


def _malformed(said: str) -> Fault:
    return Fault("MalformedPolicyDocument", said)
