"""The use of the manager's access keys and of its permissions, as IAM tracks it.

https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_last-accessed.html
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from cml_iam.audit import KeyLine, Spot, Unused
from cml_iam.catalogue import load_catalogue
from cml_iam.check.answer import Answer
from cml_iam.credentials import account_of, key_use, list_keys
from cml_iam.facts import MAX_KEY_AGE
from cml_iam.report import plural

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from cml_iam.audit import AuditFinding
    from cml_iam.aws.port import Aws
    from cml_iam.catalogue import Permission
    from cml_iam.check.checks import Check
    from cml_iam.check.scene import AccountScene
    from cml_iam.site import Site


MOST_DAYS: Final = 90
"""Days without use after which a permission counts as unused."""

PATIENCE: Final = 20.0
"""Seconds to wait for IAM to finish its report."""

_PAUSE: Final = 0.5


def last_accessed(check: Check, scene: AccountScene, _before: Answer) -> Answer:
    """Report which permissions of the site were not used for 90 days.

    IAM tracks only some actions individually; the report only counts the others. Refused attempts
    count as use.
    """
    return usage_of(check, scene.aws, scene.site, scene.account, scene.now)


def usage_of(
    check: Check,
    aws: Aws,
    site: Site,
    account: str,
    now: datetime,
    pause: Callable[[float], None] = time.sleep,
) -> Answer:
    """Do the work of `last_accessed`; *pause* waits until IAM has finished its report."""
    arn = site.principal_arn
    job = aws.call(
        "iam", "generate_service_last_accessed_details", Arn=arn, Granularity="ACTION_LEVEL"
    )["JobId"]
    services = _answer(aws, job, pause)
    if services is None:
        reason = f"IAM did not finish its report within {PATIENCE:.0f} seconds"
        return check.not_checked(reason, "ask again", account)
    used, idle = dict(_tracked(services)), _idle_services(services)
    granted = _granted(site)
    used |= {permission.action: None for permission in granted if permission.service in idle}
    known = [permission for permission in granted if permission.action in used]
    unused = tuple(
        Unused(permission.action, permission.methods, used[permission.action], account)
        for permission in known
        if _is_unused(used[permission.action], now)
    )
    untracked = len(granted) - len(known)
    detail = f"AWS tracks {len(known)} of {len(granted)} permissions; {len(unused)} not used"
    if not services:
        return check.answer(0, "AWS lists nothing as granted", account)
    if not known:
        return check.not_checked(
            "AWS does not track any of this principal's permissions, or not yet",
            "try again some hours after the policy was attached",
            account,
        )
    if untracked:
        detail += f"; {untracked} that AWS does not track individually"
    findings = _idle_grants(check, site, unused, account)
    return check.answer(len(known), detail, account, findings, unused=unused)


def _answer(
    aws: Aws, job: str, pause: Callable[[float], None]
) -> tuple[Mapping[str, Any], ...] | None:
    """Return the services in the finished report, or None if it is not finished in time."""
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


def _tracked(services: Sequence[Mapping[str, Any]]) -> list[tuple[str, datetime | None]]:
    return [
        (
            f"{service['ServiceNamespace']}:{action['ActionName']}",
            _second_of(action.get("LastAccessedTime")),
        )
        for service in services
        for action in service.get("TrackedActionsLastAccessed", ())
    ]


def _idle_services(services: Sequence[Mapping[str, Any]]) -> frozenset[str]:
    """Return the services that were never used, for which AWS lists no actions."""
    return frozenset(
        service["ServiceNamespace"]
        for service in services
        if service.get("LastAuthenticated") is None
        and not service.get("TrackedActionsLastAccessed")
    )


def _granted(site: Site) -> tuple[Permission, ...]:
    catalogue = load_catalogue()
    return (*catalogue.permissions, *catalogue.granted(site.grant.active))


def _is_unused(used: datetime | None, now: datetime) -> bool:
    return used is None or now - used > timedelta(days=MOST_DAYS)


def _idle_grants(
    check: Check, site: Site, unused: Sequence[Unused], account: str
) -> tuple[AuditFinding, ...]:
    """Return a finding for each unused permission that the site has added.

    Documented permissions only appear in the list: it is not a fault if the manager has not
    terminated a worker lately.
    """
    optional = {permission.action for permission in load_catalogue().granted(site.grant.active)}
    spot = Spot(resource=site.principal_arn, account=account)
    return tuple(
        check.finding("CML714", _unused_words(each), spot, about=each.permission)
        for each in unused
        if each.permission in optional
    )


def _unused_words(grant: Unused) -> str:
    """Say which method uses the permission, if any, and when it was last used."""
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
    """List the access keys of the site's user with their faults.

    A key has at most one fault of its own; a second active key counts as the user's fault. During a
    rotation, which the user's tags record, two keys are expected.
    """
    user, account, now = scene.site.user, scene.account, scene.now
    if user is None:
        return check.answer(0, "a role has no access keys", account)
    lines = tuple(
        _line(scene.aws, key.id, key.status, key.created or now, now, user, account)
        for key in list_keys(scene.aws, user)
    )
    findings = [finding for line in lines for finding in _findings(check, line, scene)]
    findings += _second(check, lines, scene)
    detail = ", ".join(f"{each.id} {plural(each.age, 'day')}" for each in lines) or "no access key"
    return check.answer(len(lines), detail, account, findings, keys=lines)


def _line(
    aws: Aws, key: str, status: str, created: datetime, now: datetime, user: str, account: str
) -> KeyLine:
    use = key_use(aws, key)
    return KeyLine(
        id=key,
        status=status,
        created=created.astimezone(UTC).replace(microsecond=0),
        age=(now - created).days,
        last_used=_second_of(use.when),
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
        return "CML804", f"the key `{key}`, {plural(line.age, 'day')} old, is inactive", remedy
    if over_age(timedelta(days=line.age)):
        if used and now - used <= MAX_KEY_AGE:
            return "CML802", f"the key `{key}` is {line.age} days old", None
        words = f"last used on {used:%Y-%m-%d}" if used else "never used"
        return "CML801", f"the key `{key}` is {line.age} days old and {words}", None
    if used is None and line.age > GRACE_DAYS:
        return "CML805", f"the key `{key}` is {line.age} days old and was never used", None
    return "", "", None


def _second(check: Check, lines: Sequence[KeyLine], scene: AccountScene) -> list[AuditFinding]:
    active = [line for line in lines if line.status == "Active"]
    rotating = not scene.tags.get(_ROTATION, "idle").startswith("idle")
    if len(active) < 2 or rotating:
        return []
    spot = Spot(resource=scene.site.principal_arn, account=scene.account)
    said = f"two keys are active: {' and '.join(f'`{each.id}`' for each in active)}"
    return [check.finding("CML803", said, spot)]


def _second_of(moment: datetime | None) -> datetime | None:
    return moment.astimezone(UTC).replace(microsecond=0) if moment else None
