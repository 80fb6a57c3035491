"""UnauthorizedOperation: which permission, in which region, and which statement is to change."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from cml_iam.doctor._documents import Attached
from cml_iam.doctor._model import Area, Diagnosis, Scene, State, Who, unchecked
from cml_iam.doctor._refusal import decoded, launch_requests, supposed, why_refused
from cml_iam.errors import AwsError, DeniedError, NotFoundError
from cml_iam.principal import principal_of_arn, read_holdings
from cml_iam.workers import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cml_iam.aws import Identity
    from cml_iam.engine import Request
    from cml_iam.workers import Check, Health

_AREA = Area.PERMISSIONS


def permissions(scene: Scene, who: Who) -> Iterator[Diagnosis]:
    """Try every permission in every region, and explain each that is refused."""
    if who.identity is None:
        yield Diagnosis(_AREA, "permissions", State.UNCHECKED, "nobody is signed in to try them")
        return
    policies = _Policies(scene, who.identity)
    for region in scene.regions:
        health = scene.manager.health(region=region, probe=partial(scene.probe, region))
        yield from _of_region(scene, policies, health)


def _of_region(scene: Scene, policies: _Policies, health: Health) -> Iterator[Diagnosis]:
    if health.failure and not isinstance(health.failure, DeniedError):
        yield unchecked(_AREA, health.region, health.failure)
        return
    allowed = health.having(Verdict.ALLOWED)
    if allowed:
        said = f"{len(allowed)} of {len(health.checks)} permissions are there"
        yield Diagnosis(_AREA, health.region, State.OK, said)
    for check in health.checks:
        subject = f"{check.action} in {health.region}"
        if check.verdict is Verdict.REFUSED:
            yield from _explained(scene, policies, health, check, subject)
    yield from _untried(health)


def _untried(health: Health) -> Iterator[Diagnosis]:
    """Say what could not be tried, by the reason."""
    reasons: dict[tuple[str, str | None], list[str]] = {}
    for check in health.having(Verdict.UNCHECKED):
        reasons.setdefault((check.detail, check.remedy), []).append(check.action)
    for (detail, remedy), actions in reasons.items():
        said = f"{', '.join(actions)}: {detail}"
        yield Diagnosis(_AREA, health.region, State.UNCHECKED, said, remedy)


def _explained(
    scene: Scene, policies: _Policies, health: Health, check: Check, subject: str
) -> Iterator[Diagnosis]:
    """Name the statements, by the very request where AWS tells it, else by the one supposed."""
    denied = check.error if isinstance(check.error, DeniedError) else None
    told = _decoded(scene, denied)
    requests: tuple[Request, ...] = (told,) if told else ()
    attached = policies.read()
    if attached is None:
        said = f"{check.detail}; {policies.unknown}"
        yield Diagnosis(_AREA, subject, State.FINDING, said, check.remedy)
        return
    how = f"decoded, by the policies {attached.where}" if told else f"policies {attached.where}"
    requests = requests or _supposed(scene, policies.identity.arn, health, check.action)
    for why in why_refused(requests, attached):
        yield Diagnosis(_AREA, subject, State.FINDING, f"{why.said} [{how}]", why.remedy)


def _decoded(scene: Scene, denied: DeniedError | None) -> Request | None:
    if denied is None:
        return None
    told = decoded(scene.aws, denied)
    return decoded(scene.admin, denied) if told is None and scene.admin else told


def _supposed(scene: Scene, arn: str, health: Health, action: str) -> tuple[Request, ...]:
    launch: tuple[Request, ...] = ()
    if health.launch:
        launch = launch_requests(arn, health.launch, None, health.region, scene.manager.guard)
    return supposed(action, arn, health.region, health.worker, launch)


@dataclass(slots=True)
class _Policies:
    """The policies that decide, read once: those attached, else those the site renders to."""

    scene: Scene
    identity: Identity
    unknown: str = ""
    _read: list[Attached | None] = field(default_factory=list)

    def read(self) -> Attached | None:
        """Return them, or None; then *unknown* says why not."""
        if not self._read:
            self._read.append(self._find())
        return self._read[0]

    def _find(self) -> Attached | None:
        held = principal_of_arn(self.identity.arn)
        if held is None:
            self.unknown = "the account's root has no policies"
            return None
        try:
            found = read_holdings(self.scene.reader, *held, account=self.identity.account)
        except NotFoundError as error:
            return self._rendered(f"the policies attached: {error.message}")
        except AwsError:
            return self._rendered()
        for each in found.unread:
            if not isinstance(each.error, AwsError):
                self.unknown = f"a policy attached cannot be judged: {each.error.message}"
                return None
        if found.unread:
            return self._rendered("; ".join(each.words for each in found.unread))
        boundary = found.boundary.document if found.boundary else None
        return Attached(found.documents, boundary)

    def _rendered(self, unread: str = "") -> Attached | None:
        if self.scene.site is None:
            why = f"could not read {unread}" if unread else "its policies may not be read"
            self.unknown = f"{why}, and there is no site file to render"
            return None
        from cml_iam.render import render_policy

        return Attached((render_policy(self.scene.site).document,), live=False, unread=unread)
