"""The manager's access keys: their number, age and use."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from cml_iam.audit import KeyLine, Spot
from cml_iam.check._answer import Answer
from cml_iam.credentials import account_of, key_use, list_keys
from cml_iam.facts import MAX_KEY_AGE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cml_iam.audit import AuditFinding
    from cml_iam.aws.port import Aws
    from cml_iam.check._check import Check
    from cml_iam.check.scene import AccountScene

GRACE_DAYS: Final = 7
"""Days in which a new key may wait for its first use."""

_ROTATION: Final = "cml-iam:rotation"
"""The tag in which `cml-iam key rotate` keeps how far it is."""


def over_age(age: timedelta) -> bool:
    """Return whether an access key of this *age* exceeds the allowed age, in whole days."""
    return age.days > MAX_KEY_AGE.days


def keys(check: Check, scene: AccountScene, _before: Answer) -> Answer:
    """List the access keys of the site's user with their faults.

    A key has at most one fault of its own; a second active key counts as the user's fault. During a
    rotation, which the user's tags record, two keys are expected.
    """
    user, account, now = scene.site.user, scene.account, scene.now
    if user is None:
        return Answer(checks=(check.passed(0, "a role has no access keys", account),))
    lines = tuple(
        _line(scene.aws, key.id, key.status, key.created or now, now, user, account)
        for key in list_keys(scene.aws, user)
    )
    findings = [each for line in lines for each in _findings(check, line, scene)]
    findings += _second(check, lines, scene)
    detail = ", ".join(f"{each.id} {each.age} days" for each in lines) or "no access key"
    result = check.passed(len(lines), detail, account)
    return Answer(checks=(result,), findings=tuple(findings), keys=lines)


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


def _findings(check: Check, line: KeyLine, scene: AccountScene) -> list[AuditFinding]:
    spot = Spot(resource=line.id, account=line.account)
    rule, said, remedy = _fault(line, scene.site.account, scene.now)
    return [check.finding(rule, said, spot, remedy=remedy)] if rule else []


def _fault(line: KeyLine, account: str, now: datetime) -> tuple[str, str, str | None]:
    """Return the rule, the message and the remedy for the worst fault of a key."""
    key, owner, used = line.id, account_of(line.id), line.last_used
    if owner is not None and owner != account:
        return "CML806", f"the key `{key}` belongs to account {owner}", None
    if line.status != "Active":
        remedy = f"`aws iam delete-access-key --user-name {line.user} --access-key-id {key}`"
        return "CML804", f"the key `{key}`, {line.age} days old, is inactive", remedy
    if over_age(timedelta(days=line.age)):
        if used and now - used <= MAX_KEY_AGE:
            return "CML802", f"the key `{key}` is {line.age} days old", None
        words = f"last used on {used:%Y-%m-%d}" if used else "never used"
        return "CML801", f"the key `{key}` is {line.age} days old and {words}", None
    if used is None and line.age > GRACE_DAYS:
        return "CML805", f"the key `{key}` is {line.age} days old and was never used", None
    return "", "", None


def _second(check: Check, lines: Sequence[KeyLine], scene: AccountScene) -> list[AuditFinding]:
    active = [each for each in lines if each.status == "Active"]
    rotating = not scene.tags.get(_ROTATION, "idle").startswith("idle")
    if len(active) < 2 or rotating:
        return []
    spot = Spot(resource=scene.site.principal_arn, account=scene.account)
    said = f"two keys are active: {' and '.join(f'`{each.id}`' for each in active)}"
    return [check.finding("CML803", said, spot)]


def _second_of(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(microsecond=0)
