"""The use of the manager's access keys and permissions, as IAM tracks it.

https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_last-accessed.html
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from cml_iam.audit import KeyLine, Spot, Unused
from cml_iam.aws.port import Aws
from cml_iam.catalogue import Permission, load_catalogue
from cml_iam.check.answer import Answer
from cml_iam.check.checks import Check
from cml_iam.credentials import KeyInfo, account_of, key_use, list_keys
from cml_iam.facts import MAX_KEY_AGE
from cml_iam.report import plural

if TYPE_CHECKING:
    from cml_iam.check.scene import AccountScene


MOST_UNUSED: Final = timedelta(days=90)
"""The time without use after which a permission counts as unused."""

PATIENCE: Final = 20.0
"""Seconds to wait for IAM to finish its report."""

_PAUSE: Final = 0.5
_UNTRACKED: Final = (
    "AWS does not track any of this principal's permissions, or not yet",
    "try again some hours after the policy was attached",
)


def last_accessed(
    check: Check,
    scene: AccountScene,
    _before: Answer,
    pause: Callable[[float], None] = time.sleep,
) -> Answer:
    """Report which permissions of the site were not used for 90 days.

    IAM tracks only some actions individually; the report only counts the others. Refused attempts
    count as use. *pause* waits until IAM has finished its report.
    """
    site, account = scene.site, scene.account
    services = _services(scene.aws, site.principal_arn, pause)
    if services is None:
        reason = f"IAM did not finish its report within {PATIENCE:.0f} seconds"
        return check.not_checked(reason, "ask again", account)
    if not services:
        return check.answer(0, "AWS lists nothing as granted", account)
    catalogue = load_catalogue()
    optional = catalogue.granted(site.grant.active)
    granted = (*catalogue.permissions, *optional)
    used = _uses(services, granted)
    tracked = [permission for permission in granted if permission.action in used]
    if not tracked:
        return check.not_checked(*_UNTRACKED, account)
    unused = tuple(
        Unused(permission.action, permission.methods, when, account)
        for permission in tracked
        if (when := used[permission.action]) is None or scene.now - when > MOST_UNUSED
    )
    detail = f"AWS tracks {len(tracked)} of {len(granted)} permissions; {len(unused)} not used"
    if len(granted) > len(tracked):
        detail += f"; {len(granted) - len(tracked)} that AWS does not track individually"
    # Documented permissions only appear in the list: it is not a fault if the manager has not
    # terminated a worker lately.
    added = {permission.action for permission in optional}
    spot = Spot(resource=site.principal_arn, account=account)
    findings = (
        check.finding("CML714", _unused_words(permission), spot, about=permission.permission)
        for permission in unused
        if permission.permission in added
    )
    return check.answer(len(tracked), detail, account, findings, unused=unused)


def _services(
    aws: Aws, arn: str, pause: Callable[[float], None]
) -> tuple[Mapping[str, Any], ...] | None:
    """Return the services in the finished report, or None if it is not finished in time."""
    operation = "generate_service_last_accessed_details"
    job = aws.call("iam", operation, Arn=arn, Granularity="ACTION_LEVEL")["JobId"]
    waited = 0.0
    services: list[Mapping[str, Any]] = []
    marker: dict[str, Any] = {}
    while waited < PATIENCE:
        answer = aws.call("iam", "get_service_last_accessed_details", JobId=job, **marker)
        if answer["JobStatus"] == "FAILED":
            return None
        if answer["JobStatus"] == "IN_PROGRESS":
            pause(_PAUSE)
            waited += _PAUSE
            continue
        services += answer["ServicesLastAccessed"]
        if not answer.get("IsTruncated"):
            return tuple(services)
        marker = {"Marker": answer["Marker"]}
    return None


def _uses(
    services: Sequence[Mapping[str, Any]], granted: Sequence[Permission]
) -> dict[str, datetime | None]:
    """Return when each action that AWS tracks was last used; for an idle service it lists none."""
    uses: dict[str, datetime | None] = {}
    for service in services:
        name, tracked = service["ServiceNamespace"], service.get("TrackedActionsLastAccessed")
        for action in tracked or ():
            uses[f"{name}:{action['ActionName']}"] = _second_of(action.get("LastAccessedTime"))
        if not tracked and service.get("LastAuthenticated") is None:
            uses |= {
                permission.action: None for permission in granted if permission.service == name
            }
    return uses


def _unused_words(grant: Unused) -> str:
    methods = ", ".join(f"{name}()" for name in grant.methods)
    used = f"was last used on {grant.last_used:%Y-%m-%d}" if grant.last_used else "is not used"
    return (
        f"`{grant.permission}`, for {methods}, {used}"
        if methods
        else f"`{grant.permission}` {used}"
    )


GRACE_DAYS: Final = 7
"""Days in which a new key may wait for its first use."""

_ROTATION: Final = "cml-iam:rotation"
"""The tag in which `cml-iam key rotate` records its progress."""


def over_age(age: timedelta) -> bool:
    """Return whether *age*, an access key's age in days, exceeds the maximum."""
    return age.days > MAX_KEY_AGE.days


def keys(check: Check, scene: AccountScene, _before: Answer) -> Answer:
    """List the access keys of the site's user, each with its worst fault.

    Two active keys are a fault, except during a rotation, which the user's tags record.
    """
    user, account, now = scene.site.user, scene.account, scene.now
    if user is None:
        return check.answer(0, "a role has no access keys", account)
    lines = tuple(_line(scene, key, user) for key in list_keys(scene.aws, user))
    findings = []
    for line in lines:
        rule, message, remedy = _fault(line, scene.site.account, now)
        if rule:
            spot = Spot(resource=line.id, account=account)
            findings.append(check.finding(rule, message, spot, remedy=remedy))
    active = [f"`{line.id}`" for line in lines if line.status == "Active"]
    if len(active) > 1 and scene.tags.get(_ROTATION, "idle").startswith("idle"):
        spot = Spot(resource=scene.site.principal_arn, account=account)
        message = f"two keys are active: {' and '.join(active)}"
        findings.append(check.finding("CML803", message, spot))
    detail = ", ".join(f"{line.id} {plural(line.age, 'day')}" for line in lines) or "no access key"
    return check.answer(len(lines), detail, account, findings, keys=lines)


def _line(scene: AccountScene, key: KeyInfo, user: str) -> KeyLine:
    use, created = key_use(scene.aws, key.id), key.created or scene.now
    return KeyLine(
        id=key.id,
        status=key.status,
        created=created.astimezone(UTC).replace(microsecond=0),
        age=(scene.now - created).days,
        last_used=_second_of(use.when),
        service=use.service or None,
        region=use.region or None,
        user=user,
        account=scene.account,
    )


def _fault(line: KeyLine, account: str, now: datetime) -> tuple[str, str, str | None]:
    """Return the rule, the message and the remedy for the worst fault of a key."""
    key, owner, used = line.id, account_of(line.id), line.last_used
    if owner is not None and owner != account:
        return "CML806", f"the key `{key}` belongs to account {owner}", None
    if line.status != "Active":
        remedy = f"`aws iam delete-access-key --user-name {line.user} --access-key-id {key}`"
        return "CML804", f"the key `{key}`, {plural(line.age, 'day')} old, is inactive", remedy
    if over_age(timedelta(days=line.age)):
        if used and now - used <= MAX_KEY_AGE:
            return "CML802", f"the key `{key}` is {line.age} days old", None
        words = f"last used on {used:%Y-%m-%d}" if used else "never used"
        return "CML801", f"the key `{key}` is {line.age} days old and {words}", None
    if used is None and line.age > GRACE_DAYS:
        return "CML805", f"the key `{key}` is {line.age} days old and was never used", None
    return "", "", None


def _second_of(moment: datetime | None) -> datetime | None:
    return moment.astimezone(UTC).replace(microsecond=0) if moment else None
