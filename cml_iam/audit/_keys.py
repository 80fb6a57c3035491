"""The access keys of the manager: how many, how old, how used."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from cml_iam.audit._asking import Question
from cml_iam.audit._part import Part, found
from cml_iam.audit._report import KeyLine, Spot
from cml_iam.credentials import MAX_KEY_AGE, account_of, key_use, list_keys

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cml_iam.audit._report import AuditFinding
    from cml_iam.aws.port import Aws
    from cml_iam.site import Site

KEYS: Final = Question(
    "keys", "The manager has one access key, in use and not older than 90 days", "keys"
)

GRACE_DAYS: Final = 7
"""Days in which a new key may wait for its first use."""

_ROTATION: Final = "cml-iam:rotation"
"""The tag in which `cml-iam key rotate` keeps how far it is."""


def keys_of(aws: Aws, site: Site, account: str, now: datetime, tags: Mapping[str, str]) -> Part:
    """Return the keys of the site's user and what is wrong with each: one call, and one a key.

    A key has at most one fault of its own; a second active key is the user's. *tags* are those of
    the user: in the midst of a rotation two keys are as it should be.
    """
    if site.user is None:
        return Part(checks=(KEYS.passed(account, 0, "a role has no access keys"),))
    lines = tuple(
        _line(aws, key.id, key.status, key.created or now, now, site.user, account)
        for key in list_keys(aws, site.user)
    )
    findings = [each for line in lines for each in _findings(line, site, now)]
    findings += _second(lines, site, account, tags)
    detail = ", ".join(f"{each.id} {each.age} days" for each in lines) or "no access key"
    check = KEYS.passed(account, len(lines), detail)
    return Part(checks=(check,), findings=tuple(findings), keys=lines)


def _line(
    aws: Aws, key: str, status: str, created: datetime, now: datetime, user: str, account: str
) -> KeyLine:
    use = key_use(aws, key)
    return KeyLine(
        id=key,
        status=status,
        created=_second_of(created),
        age=(now - created).days,
        last_used=_second_of(use.when) if use.when else None,
        service=use.service or None,
        region=use.region or None,
        user=user,
        account=account,
    )


def _findings(line: KeyLine, site: Site, now: datetime) -> list[AuditFinding]:
    spot = Spot(resource=line.id, account=line.account)
    rule, said, remedy = _fault(line, site, now)
    return [found(rule, said, spot, KEYS.id, remedy=remedy)] if rule else []


def _fault(line: KeyLine, site: Site, now: datetime) -> tuple[str, str, str | None]:
    """Return the rule, the words and the remedy for what is most wrong with a key."""
    key, owner = line.id, account_of(line.id)
    if owner is not None and owner != site.account:
        return "CML806", f"the key `{key}` belongs to account {owner}", None
    if line.status != "Active":
        remedy = f"`aws iam delete-access-key --user-name {line.user} --access-key-id {key}`"
        return "CML804", f"the key `{key}`, {line.age} days old, is inactive", remedy
    if line.age > MAX_KEY_AGE.days and (
        line.last_used is None or now - line.last_used > MAX_KEY_AGE
    ):
        used = f"last used on {line.last_used:%Y-%m-%d}" if line.last_used else "never used"
        return "CML801", f"the key `{key}` is {line.age} days old and {used}", None
    if line.age > MAX_KEY_AGE.days:
        return "CML802", f"the key `{key}` is {line.age} days old", None
    if line.last_used is None and line.age > GRACE_DAYS:
        return "CML805", f"the key `{key}` is {line.age} days old and was never used", None
    return "", "", None


def _second(
    lines: Sequence[KeyLine], site: Site, account: str, tags: Mapping[str, str]
) -> list[AuditFinding]:
    active = [each for each in lines if each.status == "Active"]
    rotating = not tags.get(_ROTATION, "idle").startswith("idle")
    if len(active) < 2 or rotating:
        return []
    spot = Spot(resource=site.principal_arn, account=account)
    said = f"two keys are active: {' and '.join(f'`{each.id}`' for each in active)}"
    return [found("CML803", said, spot, KEYS.id)]


def _second_of(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(microsecond=0)
