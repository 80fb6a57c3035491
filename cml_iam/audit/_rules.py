"""What an audit finds beside lint's rules: each with its id, severity, AWS page and remedy.

An id keeps its meaning for ever and is never given to another rule, nor to one of lint. Its first
digit says what kind of fault it is: 7 what the principal may do, 8 keys and surroundings,
9 waivers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from cml_iam.lint import Severity

_IAM: Final = "https://docs.aws.amazon.com/IAM/latest/UserGuide"
_TRAIL: Final = "https://docs.aws.amazon.com/awscloudtrail/latest/userguide"


@dataclass(frozen=True, slots=True)
class AuditRule:
    """One rule of the audit; *remedy* is what to do where a finding says nothing nearer."""

    id: str
    name: str
    severity: Severity
    title: str
    page: str
    remedy: str


_RULES: Final = (
    AuditRule(
        "CML701",
        "needed-refused",
        Severity.ERROR,
        "a call the manager must be able to make is refused",
        f"{_IAM}/troubleshoot_access-denied.html",
        "give the principal the rendered policy: `cml-iam policy render`; then look for an"
        " explicit Deny, a boundary, a service control policy",
    ),
    AuditRule(
        "CML702",
        "excess-allowed",
        Severity.ERROR,
        "a call the site's restrictions must refuse is allowed",
        f"{_IAM}/best-practices.html#grant-least-privilege",
        "replace the document by the rendered one: `cml-iam policy render`",
    ),
    AuditRule(
        "CML703",
        "refused-in-use",
        Severity.ERROR,
        "a permission was refused when the manager's own credentials used it",
        f"{_IAM}/troubleshoot_access-denied.html",
        "look for a service control policy, a session policy, or a VPC endpoint's policy",
    ),
    AuditRule(
        "CML704",
        "drift-wider",
        Severity.ERROR,
        "a document permits something that the rendered one does not",
        f"{_IAM}/access_policies_managed-versioning.html",
        "put the rendered document in its place: `cml-iam bootstrap apply`, or"
        " `cml-iam policy render` for a file",
    ),
    AuditRule(
        "CML705",
        "drift-narrower",
        Severity.ERROR,
        "a document refuses something that the rendered one permits",
        f"{_IAM}/access_policies_managed-versioning.html",
        "put the rendered document in its place: `cml-iam bootstrap apply`, or"
        " `cml-iam policy render` for a file",
    ),
    AuditRule(
        "CML706",
        "drift-unproven",
        Severity.WARNING,
        "a document could not be proved to mean the same as the rendered one",
        f"{_IAM}/access_policies_managed-versioning.html",
        "put the rendered document in its place: `cml-iam bootstrap apply`, or"
        " `cml-iam policy render` for a file",
    ),
    AuditRule(
        "CML707",
        "policy-missing",
        Severity.ERROR,
        "the site's policy is not attached to its principal",
        f"{_IAM}/access_policies_manage-attach-detach.html",
        "attach it: `cml-iam bootstrap apply`",
    ),
    AuditRule(
        "CML708",
        "principal-missing",
        Severity.ERROR,
        "the site's principal is not in the account",
        f"{_IAM}/id_users_create.html",
        "make it: `cml-iam bootstrap apply`; or name another in `[principal]` of the site file",
    ),
    AuditRule(
        "CML709",
        "extra-permissions",
        Severity.ERROR,
        "something else attached to the principal permits more than the site",
        f"{_IAM}/best-practices.html#grant-least-privilege",
        "take it off the principal, or the principal out of the group",
    ),
    AuditRule(
        "CML710",
        "extra-policy",
        Severity.WARNING,
        "something else is attached to the principal, though it permits nothing more",
        f"{_IAM}/best-practices.html#bp-use-aws-defined-policies",
        "take it off the principal, or the principal out of the group",
    ),
    AuditRule(
        "CML711",
        "boundary-missing",
        Severity.WARNING,
        "nothing bounds the principal: what is attached to it later takes effect",
        f"{_IAM}/access_policies_boundaries.html",
        "put the site's boundary on: `cml-iam bootstrap apply --boundary`",
    ),
    AuditRule(
        "CML712",
        "guard-missing",
        Severity.WARNING,
        "the site's guard is there, but not attached to the principal",
        f"{_IAM}/reference_policies_evaluation-logic.html",
        "attach it: `cml-iam bootstrap apply --guard`, or delete the policy",
    ),
    AuditRule(
        "CML713",
        "quarantined",
        Severity.ERROR,
        "AWS has quarantined the principal: it found a key of it exposed",
        "https://docs.aws.amazon.com/aws-managed-policy/latest/reference/"
        "AWSCompromisedKeyQuarantineV3.html",
        "take every key out of use (`cml-iam key revoke`), look what it was used for in"
        " CloudTrail, then detach the policy",
    ),
    AuditRule(
        "CML714",
        "grant-unused",
        Severity.INFO,
        "a permission that the site grants beyond the documented ones is not used",
        f"{_IAM}/access_policies_last-accessed.html",
        "leave it out of `[grant]` in the site file, and apply it",
    ),
    AuditRule(
        "CML715",
        "size-open",
        Severity.INFO,
        "a pattern of instance types that admits every size, the metal ones too",
        "https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instance-types.html",
        "list the sizes that are meant, such as `c5.large`, if the bound is to bound the cost",
    ),
    AuditRule(
        "CML716",
        "other-account",
        Severity.ERROR,
        "the credentials are of another account than the site's",
        f"{_IAM}/console-account-id.html",
        "use credentials of the site's account, or the site file of this one",
    ),
    AuditRule(
        "CML717",
        "promise-broken",
        Severity.ERROR,
        "a call, or a sequence of calls, breaks what the site promises",
        f"{_IAM}/best-practices.html#grant-least-privilege",
        "see `cml-iam policy prove`, which says what closes it; or replace the document by the"
        " rendered one: `cml-iam policy render`",
    ),
    AuditRule(
        "CML801",
        "key-unused",
        Severity.WARNING,
        "an active access key that nobody used for 90 days",
        f"{_IAM}/id_credentials_access-keys.html",
        "deactivate it, wait, delete it: `cml-iam key revoke`",
    ),
    AuditRule(
        "CML802",
        "key-old",
        Severity.WARNING,
        "an active access key older than 90 days",
        f"{_IAM}/id-credentials-access-keys-update.html",
        "rotate it: `cml-iam key rotate`",
    ),
    AuditRule(
        "CML803",
        "second-key",
        Severity.WARNING,
        "two active access keys, though no rotation is under way",
        f"{_IAM}/id-credentials-access-keys-update.html",
        "find out which is not in use (`cml-iam key list`), deactivate and delete it",
    ),
    AuditRule(
        "CML804",
        "key-inactive",
        Severity.WARNING,
        "an inactive access key that nobody deleted: it takes the place of the next one",
        f"{_IAM}/id-credentials-access-keys-update.html",
        "delete it: `aws iam delete-access-key`",
    ),
    AuditRule(
        "CML805",
        "key-never-used",
        Severity.INFO,
        "an active access key, some days old, that was never used",
        f"{_IAM}/id_credentials_access-keys.html",
        "deliver it to the manager (`cml-iam key deliver`), or delete it",
    ),
    AuditRule(
        "CML806",
        "key-of-other-account",
        Severity.ERROR,
        "an access key that belongs to another account",
        "https://docs.aws.amazon.com/STS/latest/APIReference/API_GetAccessKeyInfo.html",
        "find out whose it is: `aws sts get-access-key-info`",
    ),
    AuditRule(
        "CML807",
        "key-in-file",
        Severity.ERROR,
        "an access key with its secret stands in a file",
        f"{_IAM}/best-practices.html#lock-away-credentials",
        "take the key out of use (`cml-iam key revoke`) and the secret out of the file and of its"
        " history; keep secrets in a store of secrets",
    ),
    AuditRule(
        "CML821",
        "not-logging",
        Severity.ERROR,
        "CloudTrail does not record what the manager does",
        f"{_TRAIL}/cloudtrail-turning-on-logging.html",
        "make the trail log: `cml-iam bootstrap apply --with audit`",
    ),
    AuditRule(
        "CML822",
        "alarm-missing",
        Severity.WARNING,
        "an alarm on the manager's doings is not there, or cannot go off",
        f"{_TRAIL}/cloudwatch-alarms-for-cloudtrail.html",
        "make the alarms: `cml-iam bootstrap apply --with audit`",
    ),
    AuditRule(
        "CML901",
        "waiver-expired",
        Severity.WARNING,
        "a waiver past its date: what it waived counts again",
        "https://docs.aws.amazon.com/wellarchitected/latest/security-pillar/"
        "sec_permissions_lifecycle_management.html",
        "mend what it waived, or agree on a new date",
    ),
    AuditRule(
        "CML902",
        "waiver-malformed",
        Severity.ERROR,
        "a waiver that does not say what, where, why, who and until when",
        "https://docs.aws.amazon.com/wellarchitected/latest/security-pillar/"
        "sec_permissions_lifecycle_management.html",
        'write: finding = "CML822", place = "*", reason = "…", owner = "…", expires = 2027-01-31',
    ),
    AuditRule(
        "CML903",
        "waiver-unused",
        Severity.WARNING,
        "a waiver of something that was not found",
        "https://docs.aws.amazon.com/wellarchitected/latest/security-pillar/"
        "sec_permissions_lifecycle_management.html",
        "remove it from the site file",
    ),
)

AUDIT_RULES: Final = {each.id: each for each in _RULES}
"""Every rule of the audit, by id."""
