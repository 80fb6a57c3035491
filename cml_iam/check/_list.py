"""Every check there is, in the order in which they are asked.

A command is a selection of this list and a layout of the answers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from cml_iam.check._check import Check

if TYPE_CHECKING:
    from cml_iam.audit import Group

_OF_ACCOUNT: Final = ("identity",)
_OF_PRINCIPAL: Final = ("identity", "principal")
_UNLIKE: Final = ("CML704", "CML705", "CML706")
"""The rules of a document that does not mean what the rendered one does."""


def _machine(id_: str, title: str, group: Group, module: str, calls: str = "none") -> Check:
    role: Literal["manager"] | None = None if calls == "none" else "manager"
    return Check(id_, title, group, "machine", f"{module}:{id_}", role, calls)


CHECKS: Final = (
    Check(
        "lint",
        "What the policies say has the effect it is meant to have",
        "documents",
        "files",
        "documents:lint",
        finds=("CML715",),
    ),
    Check(
        "file-drift",
        "Files named as documents of the site mean what the site renders",
        "documents",
        "files",
        "documents:drift",
        finds=_UNLIKE,
    ),
    Check(
        "secrets",
        "No file holds an access key",
        "documents",
        "files",
        "documents:secrets",
        finds=("CML807",),
    ),
    Check(
        "expectations",
        "Every permission of the site works, and nothing beyond",
        "permissions",
        "files",
        "documents:expectations",
        finds=("CML701", "CML702"),
    ),
    Check(
        "promises",
        "What the site promises holds for every request there can be",
        "permissions",
        "files",
        "documents:promises",
        finds=("CML717",),
    ),
    Check(
        "identity",
        "The credentials are of the site's account",
        "principal",
        "account",
        "account:identity",
        "administrator",
        "1",
        ("CML716",),
    ),
    Check(
        "principal",
        "The site's principal is in the account",
        "principal",
        "account",
        "account:principal",
        "administrator",
        "1, and what reading its policies takes: 2 for each owner, 2 for each policy",
        ("CML708",),
        _OF_ACCOUNT,
    ),
    Check(
        "drift",
        "The policies in AWS mean what the site renders",
        "principal",
        "account",
        "_principal:drift",
        "administrator",
        "none beyond those of principal",
        (*_UNLIKE, "CML707"),
        _OF_PRINCIPAL,
    ),
    Check(
        "attachments",
        "Nothing else gives the principal permissions",
        "principal",
        "account",
        "_principal:attachments",
        "administrator",
        "none beyond those of principal",
        ("CML709", "CML710"),
        _OF_PRINCIPAL,
    ),
    Check(
        "boundary",
        "Something bounds what it can be given",
        "principal",
        "account",
        "_principal:boundary",
        "administrator",
        "1 for boundary and guard each, where it is not on",
        ("CML711", "CML712"),
        _OF_PRINCIPAL,
    ),
    Check(
        "quarantine",
        "AWS has not quarantined the principal",
        "principal",
        "account",
        "_principal:quarantine",
        "administrator",
        "none beyond those of principal",
        ("CML713",),
        _OF_PRINCIPAL,
    ),
    Check(
        "proof",
        "What the site promises holds for every request there can be",
        "permissions",
        "account",
        "_principal:proof",
        "administrator",
        "none beyond those of principal",
        ("CML717",),
        _OF_PRINCIPAL,
    ),
    Check(
        "simulation",
        "AWS's simulator answers every expectation as it must",
        "permissions",
        "account",
        "_permissions:simulation",
        "administrator",
        "about 1 for each context of the expectations",
        ("CML701", "CML702"),
        _OF_PRINCIPAL,
    ),
    Check(
        "use",
        "The manager's own credentials can use every permission",
        "permissions",
        "account",
        "_permissions:use",
        "manager",
        "1 for each permission and region",
        ("CML703",),
        _OF_PRINCIPAL,
    ),
    Check(
        "last-accessed",
        "What is granted is used",
        "permissions",
        "account",
        "_usage:last_accessed",
        "administrator",
        "2, more while IAM is not ready",
        ("CML714",),
        _OF_PRINCIPAL,
    ),
    Check(
        "keys",
        "The manager has one access key, in use and not older than 90 days",
        "keys",
        "account",
        "_keys:keys",
        "administrator",
        "1, and 1 for each key",
        ("CML801", "CML802", "CML803", "CML804", "CML805", "CML806"),
        _OF_ACCOUNT,
    ),
    Check(
        "trail",
        "CloudTrail records what the manager does",
        "surroundings",
        "account",
        "surroundings:trail",
        "administrator",
        "1",
        ("CML821",),
        _OF_ACCOUNT,
    ),
    Check(
        "alarms",
        "Alarms on the manager's doings can go off",
        "surroundings",
        "account",
        "surroundings:alarms",
        "administrator",
        "2",
        ("CML822",),
        _OF_ACCOUNT,
    ),
    _machine("endpoint", "The endpoints of AWS answer", "surroundings", "surroundings", "3"),
    _machine("clock", "The clock of this machine is right", "surroundings", "surroundings"),
    _machine("files", "Only their owner reads the files of credentials", "keys", "_credentials"),
    _machine(
        "credentials",
        "AWS takes the credential, which is the manager's and not too old",
        "keys",
        "_credentials",
        "2",
    ),
    _machine("regions", "Every region of the site is enabled", "surroundings", "surroundings", "1"),
    _machine(
        "permissions",
        "The manager can use every permission, or it is known why not",
        "permissions",
        "manager",
        "1 for each permission and region",
    ),
    _machine(
        "metrics",
        "The metrics of every worker are known",
        "surroundings",
        "manager",
        "2 for each worker",
    ),
    _machine("data", "What is known of AWS's actions is recent", "surroundings", "surroundings"),
)

AUDIT_FILES: Final = tuple(each for each in CHECKS if each.of == "files")
AUDIT_ACCOUNT: Final = tuple(each for each in CHECKS if each.of == "account")
DOCTOR: Final = tuple(each for each in CHECKS if each.of == "machine")

WAIVERS: Final = Check(
    "waivers",
    "Every waiver says what, where, why, who and until when, and is needed",
    "waivers",
    "report",
    "report:apply_waivers",
    finds=("CML901", "CML902", "CML903"),
)
"""The check of a report as a whole."""

SKIPPABLE: Final = tuple(
    each.id for each in (*AUDIT_FILES, *AUDIT_ACCOUNT) if each.id not in ("identity", "principal")
)
"""The ids of the checks that an audit can leave out."""


def check_named(id_: str) -> Check:
    """Return the check with this id; raises KeyError for one that is not in the list."""
    return {each.id: each for each in (*CHECKS, WAIVERS)}[id_]
