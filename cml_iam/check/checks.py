"""Every check, in the order they run.

A command selects from this list and presents the answers. To add a check, add a row here and a
function with its name to the row's module: see docs/contributing.md.
"""

from __future__ import annotations

from functools import partial
from typing import Final

from cml_iam.check.asking import Check

_UNLIKE: Final = ("CML704", "CML705", "CML706")
"""The rules for documents with a different meaning from the rendered ones."""

_KEPT: Final = "The site's promises hold for every possible request"
_READ: Final = "no further calls"
_EACH: Final = "1 for each permission and region"

_of_files = partial(Check, of="files", module="documents")
_of_account = partial(Check, of="account", role="administrator", needs=("identity",))
_of_principal = partial(Check, of="account", role="administrator", needs=("identity", "principal"))
_of_bootstrap = partial(Check, of="bootstrap", module="bootstrap", role="administrator")
_of_machine = partial(Check, of="machine", role="manager")

CHECKS: Final = (
    _of_files(
        "lint",
        "The policies have the intended effect",
        "documents",
        finds=("CML715",),
    ),
    _of_files(
        "file-drift",
        "Files named like the site's documents have the same meaning",
        "documents",
        finds=_UNLIKE,
    ),
    _of_files("secrets", "No file holds an access key", "documents", finds=("CML807",)),
    _of_files(
        "expectations",
        "Every permission of the site works, and no others do",
        "permissions",
        finds=("CML701", "CML702"),
    ),
    _of_files("promises", _KEPT, "permissions", finds=("CML717",)),
    _of_account(
        "identity",
        "The credentials belong to the site's account",
        "principal",
        module="account",
        calls="1",
        finds=("CML716",),
        needs=(),
    ),
    _of_account(
        "principal",
        "The site's principal is in the account",
        "principal",
        module="account",
        calls="1, plus 2 for each policy and for each user, role and group with a policy",
        finds=("CML708",),
    ),
    _of_principal(
        "drift",
        "The policies in AWS have the same meaning as the rendered ones",
        "principal",
        module="_principal",
        calls=_READ,
        finds=(*_UNLIKE, "CML707"),
    ),
    _of_principal(
        "attachments",
        "Nothing else gives the principal permissions",
        "principal",
        module="_principal",
        calls=_READ,
        finds=("CML709", "CML710"),
    ),
    _of_principal(
        "boundary",
        "A boundary or guardrail limits it",
        "principal",
        module="_principal",
        calls="1 each for boundary and guardrail, if not attached",
        finds=("CML711", "CML712"),
    ),
    _of_principal(
        "quarantine",
        "AWS has not quarantined the principal",
        "principal",
        module="_principal",
        calls=_READ,
        finds=("CML713",),
    ),
    _of_principal(
        "proof", _KEPT, "permissions", module="_principal", calls=_READ, finds=("CML717",)
    ),
    _of_principal(
        "simulation",
        "AWS's simulator answers every expectation as required",
        "permissions",
        module="_permissions",
        calls="1 for each group of expectations with one context",
        finds=("CML701", "CML702"),
    ),
    _of_principal(
        "use",
        "The manager's own credentials can use every permission",
        "permissions",
        module="_permissions",
        role="manager",
        calls=_EACH,
        finds=("CML703",),
    ),
    _of_principal(
        "last-accessed",
        "Every granted permission is used",
        "permissions",
        module="_usage",
        calls="2, more while IAM is not ready",
        finds=("CML714",),
    ),
    _of_account(
        "keys",
        "The manager has one access key, which is in use and at most 90 days old",
        "keys",
        module="_usage",
        calls="1, plus 1 for each key",
        finds=("CML801", "CML802", "CML803", "CML804", "CML805", "CML806"),
    ),
    _of_account(
        "trail",
        "CloudTrail records what the manager does",
        "surroundings",
        module="bootstrap",
        calls="1",
        finds=("CML821",),
    ),
    _of_account(
        "alarms",
        "Alarms on the manager's activity can fire",
        "surroundings",
        module="bootstrap",
        calls="2",
        finds=("CML822",),
    ),
    _of_account(
        "who-else",
        "Nobody else may change the workers",
        "principal",
        module="others",
        calls="1 for each 1000 users, roles, groups and policies",
        finds=("CML718",),
        optional=True,
    ),
    _of_bootstrap(
        "status",
        "The principal matches the site file, and the store holds its active key",
        "principal",
        calls="those of `bootstrap plan`, plus 1 for each key",
    ),
    _of_bootstrap(
        "differences",
        "Everything in the account agrees with the site file",
        "principal",
        calls="those of `bootstrap plan`",
    ),
    _of_machine("endpoint", "AWS's endpoints answer", "surroundings", module="doctor", calls="3"),
    _of_machine("clock", "The clock is correct", "surroundings", module="doctor", role=None),
    _of_machine(
        "files",
        "Only their owner can read the credential files",
        "keys",
        module="_credentials",
        role=None,
    ),
    _of_machine(
        "credentials",
        "AWS accepts the credential, which is the manager's and not too old",
        "keys",
        module="_credentials",
        calls="2",
    ),
    _of_machine(
        "regions",
        "Every region of the site is enabled",
        "surroundings",
        module="doctor",
        calls="1",
    ),
    _of_machine(
        "connection",
        "EC2 answers with the manager's credential",
        "surroundings",
        module="manager",
        calls="1",
        optional=True,
    ),
    _of_machine(
        "permissions",
        "The manager can use every permission, or the reason is known",
        "permissions",
        module="manager",
        calls=_EACH,
    ),
    _of_machine(
        "metrics",
        "Every worker has metrics",
        "surroundings",
        module="manager",
        calls="2 for each worker",
    ),
    _of_machine(
        "data",
        "The AWS service reference is recent",
        "surroundings",
        module="doctor",
        role=None,
    ),
)

WAIVERS: Final = Check(
    "waivers",
    "Every waiver has a finding, place, reason, owner and expiry date, and is needed",
    "waivers",
    of="report",
    module="report",
    finds=("CML901", "CML902", "CML903"),
)
"""The check of the whole report, made by `make_report`."""

AUDIT_FILES: Final = tuple(check for check in CHECKS if check.of == "files")
AUDIT_ACCOUNT: Final = tuple(check for check in CHECKS if check.of == "account")
DOCTOR: Final = tuple(check for check in CHECKS if check.of == "machine" and not check.optional)

SKIPPABLE: Final = tuple(
    file.id for file in (*AUDIT_FILES, *AUDIT_ACCOUNT) if file.id not in ("identity", "principal")
)
"""The ids of the checks that an audit can skip."""


def check_named(id_: str) -> Check:
    """Return the check with this id; raises KeyError if it is not in the list."""
    return {check.id: check for check in (*CHECKS, WAIVERS)}[id_]
