"""Access keys in files: a key's id with something near it that can be its secret."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from cml_iam.audit._part import found
from cml_iam.audit._report import Spot
from cml_iam.lint import Severity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cml_iam.audit._given import Given
    from cml_iam.audit._report import AuditFinding

SECRETS: Final = "secrets"
"""The check of this file."""

_ID: Final = re.compile(r"(?<![A-Za-z0-9])(?:AKIA|ASIA)[A-Z0-9]{16}(?![A-Za-z0-9])")
_SECRET: Final = re.compile(r"(?<![A-Za-z0-9/+])[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+=])")
_NEAR: Final = 400
"""Characters after, or before, a key's id in which its secret is looked for."""

_EXAMPLE: Final = "EXAMPLE"


def secrets_in(given: Given) -> Iterator[AuditFinding]:
    """Yield a finding for every access key that stands in the file with a secret; never shows it.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html
    """
    seen = set()
    for match in _ID.finditer(given.text):
        key = match[0]
        near = given.text[max(0, match.start() - _NEAR) : match.end() + _NEAR]
        secret = next((each for each in _SECRET.findall(near) if _random(each)), None)
        if key in seen or secret is None:
            continue
        seen.add(key)
        before = given.text[: match.start()]
        spot = Spot(
            file=given.name,
            line=before.count("\n") + 1,
            column=match.start() - (before.rfind("\n") + 1) + 1,
        )
        yield _finding(key, secret, spot)


def _finding(key: str, secret: str, spot: Spot) -> AuditFinding:
    if key.endswith(_EXAMPLE) and secret.endswith(f"{_EXAMPLE}KEY"):
        return found(
            "CML807",
            f"the access key `{key}` stands here with its secret: AWS's documented example, of no"
            " use to anybody",
            spot,
            SECRETS,
            about=key,
            severity=Severity.INFO,
            remedy="write placeholders instead, so that a real pair never takes its place unseen",
        )
    from cml_iam.credentials import account_of  # many files, for the rare file that has a key

    account = account_of(key)
    whose = f", of account {account}," if account else ""
    said = f"the access key `{key}`{whose} stands here with a secret"
    return found("CML807", said, spot, SECRETS, about=key)


def _random(text: str) -> bool:
    """Say whether *text* has what a secret of 40 characters never lacks, and a digest always."""
    return any(each.isupper() for each in text) and any(each.islower() for each in text)
