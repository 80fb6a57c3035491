"""The audit of one account, as the credentials at hand see it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Final

from cml_iam.audit._asking import Question, ask
from cml_iam.audit._keys import KEYS, keys_of
from cml_iam.audit._part import Part, add_up, found, trimmed
from cml_iam.audit._permissions import SIMULATED, USED, decided_here, simulated, used
from cml_iam.audit._principal import (
    BOUNDS,
    DRIFT,
    EXTRAS,
    QUARANTINE,
    bounds_of,
    drift_of,
    extras_of,
    inputs_of,
    quarantine_of,
    sort_held,
    text_of,
    wanted_of,
)
from cml_iam.audit._promises import PROOF, promises_held
from cml_iam.audit._report import Account, Spot
from cml_iam.audit._surroundings import ALARMS, TRAIL, alarms_of, trail_of
from cml_iam.audit._usage import USAGE, usage_of
from cml_iam.aws import Counted
from cml_iam.errors import NotFoundError
from cml_iam.principal import read_holdings

if TYPE_CHECKING:
    from datetime import datetime

    from cml_iam.audit._principal import Seen, Wanted
    from cml_iam.aws.port import Aws, Identity
    from cml_iam.principal import Holdings
    from cml_iam.render import Profile
    from cml_iam.site import Site

IDENTITY: Final = Question("identity", "The credentials are of the site's account", "principal")
PRINCIPAL: Final = Question("principal", "The site's principal is in the account", "principal")

LIVE: Final = (
    IDENTITY,
    PRINCIPAL,
    DRIFT,
    EXTRAS,
    BOUNDS,
    QUARANTINE,
    PROOF,
    SIMULATED,
    USED,
    USAGE,
    KEYS,
    TRAIL,
    ALARMS,
)
"""The checks of an account, in the order in which they are made."""

_UNLIKE_THE_SITE: Final = frozenset({"CML704", "CML705", "CML706", "CML707", "CML709"})
_NOBODY: Final = ("there is no such principal", "make it: `cml-iam bootstrap apply`")
_NO_MANAGER: Final = "these are not the manager's own credentials, so nothing can be used as it"
_GIVE_MANAGER: Final = (
    "name the manager's profile with --manager-profile, or leave the check out: --skip use"
)


@dataclass(frozen=True, slots=True)
class Live:
    """What is asked of an account: *manager* is AWS as the manager sees it, where it is at hand.

    *skip* are ids of checks not to be made.
    """

    site: Site
    now: datetime
    profile: Profile = "hardened"
    manager: Aws | None = None
    skip: frozenset[str] = frozenset()


def audit_account(aws: Aws, asked: Live, name: str | None = None) -> tuple[Account, Part]:
    """Audit the account that *aws* speaks to; only reads, and says how many calls it took.

    Raises AwsError where AWS does not even say who we are.
    """
    counted = Counted(aws)
    identity = counted.identity()
    manager = Counted(asked.manager) if asked.manager else None
    part = _Audit(counted, asked, identity, manager).made()
    calls = counted.calls + (manager.calls if manager else 0)
    account = Account(identity.account, name, identity.arn, asked.site.principal_arn, calls)
    return account, part


class _Audit:
    """Makes the checks one after another; a later one knows what an earlier one read."""

    def __init__(self, aws: Aws, asked: Live, identity: Identity, manager: Aws | None) -> None:
        self.aws, self.asked, self.site = aws, asked, asked.site
        self.identity, self.account = identity, identity.account
        self.manager = manager
        if manager is None and self._is_manager():
            self.manager = aws

    def made(self) -> Part:
        first = self._identity()
        if first.findings:
            reason = f"the credentials are of account {self.account}"
            rest = [e for e in LIVE[1:] if e.id not in self.asked.skip and self._promised(e)]
            remedy = "use credentials of the site's account"
            return add_up([first, *(e.unchecked(self.account, reason, remedy) for e in rest)])
        wanted = wanted_of(self.site, self.asked.profile)
        holder, missing = self._holder()
        seen, attached = self._attached(holder, wanted) if holder else (None, Part())
        parts = [first, missing, attached, *self._permissions(seen, missing + attached)]
        tags = holder.tags if holder else {}
        now, site, aws = self.asked.now, self.site, self.aws
        parts += [
            self._ask(KEYS, lambda: keys_of(aws, site, self.account, now, tags)),
            self._ask(TRAIL, lambda: trail_of(aws, site, self.account)),
            self._ask(ALARMS, lambda: alarms_of(aws, site, self.account)),
        ]
        return trimmed(add_up(parts), text_of(seen)) if seen else add_up(parts)

    def _ask(self, question: Question, make: Callable[[], Part]) -> Part:
        return Part() if question.id in self.asked.skip else ask(question, self.account, make)

    def _is_manager(self) -> bool:
        """Say whether the credentials at hand are the manager's: the user's, or a role's session.

        https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html
        """
        site, arn = self.site, self.identity.arn
        if site.role:
            return f":assumed-role/{site.role}/" in arn
        return ":user/" in arn and arn.rpartition("/")[2] == site.user

    def _identity(self) -> Part:
        detail = f"{self.identity.arn}"
        check = IDENTITY.passed(self.account, 1, detail)
        if self.account == self.site.account:
            return Part(checks=(check,))
        said = f"the credentials are of account {self.account}, the site is {self.site.account}"
        finding = found("CML716", said, Spot(account=self.account), IDENTITY.id)
        return Part(checks=(replace(check, state="failed"),), findings=(finding,))

    def _holder(self) -> tuple[Holdings | None, Part]:
        """Return the principal, or why nothing more can be said of it."""
        holders: list[Holdings] = []
        arn = self.site.principal_arn

        def make() -> Part:
            check = PRINCIPAL.passed(self.account, 1, arn)
            try:
                holders.append(read_holdings(self.aws, *self.site.principal))
            except NotFoundError:
                spot = Spot(resource=arn, account=self.account)
                said = f"there is no `{arn}`"
                return Part(checks=(check,), findings=(found("CML708", said, spot, check.id),))
            return Part(checks=(check,))

        part = ask(PRINCIPAL, self.account, make)
        if holders:
            return holders[0], part
        check = part.checks[0]
        reason, remedy = str(check.reason), check.remedy
        if part.findings:
            reason, remedy = _NOBODY
        return None, part + self._lost((DRIFT, EXTRAS, BOUNDS, QUARANTINE, PROOF), reason, remedy)

    def _lost(self, questions: tuple[Question, ...], reason: str, remedy: str | None) -> Part:
        return add_up(
            each.unchecked(self.account, reason, remedy)
            for each in questions
            if each.id not in self.asked.skip and self._promised(each)
        )

    def _promised(self, question: Question) -> bool:
        """Say whether *question* can be asked: the base policy promises no restrictions."""
        return question is not PROOF or self.asked.profile != "base"

    def _attached(self, holder: Holdings, wanted: Wanted) -> tuple[Seen | None, Part]:
        """Return what the principal holds, and what is found in that."""
        seen: list[Seen] = []
        site, account = self.site, self.account

        def make() -> Part:
            seen.append(sort_held(site, holder.whole()))
            return extras_of(site, wanted, seen[0], account)

        extras = ask(EXTRAS, account, make)
        if not seen:
            check = extras.checks[0]
            lost = (DRIFT, BOUNDS, QUARANTINE, PROOF)
            return None, extras + self._lost(lost, str(check.reason), check.remedy)
        one = seen[0]
        parts = [
            Part(inputs=inputs_of(one, account)),
            self._ask(DRIFT, lambda: drift_of(site, wanted, one, account)),
            self._ask(EXTRAS, lambda: extras),
            self._ask(BOUNDS, lambda: bounds_of(self.aws, site, wanted, one, account)),
            self._ask(QUARANTINE, lambda: quarantine_of(one, account)),
        ]
        parts.append(self._proved(one, add_up(parts)))
        return one, add_up(parts)

    def _proved(self, seen: Seen, before: Part) -> Part:
        """Return what is proved of all that the principal holds, unless it is to be unrestricted.

        Where its policies are not the site's, that is what is wrong, and said already.
        """
        if not self._promised(PROOF):
            return Part()
        told = any(each.rule in _UNLIKE_THE_SITE for each in before.findings)
        make = partial(promises_held, self.site, seen, self.account, told=told)
        return self._ask(PROOF, make)

    def _permissions(self, seen: Seen | None, before: Part) -> list[Part]:
        """Return what AWS says of the permissions: where it may not be asked, our engine does."""
        site, account = self.site, self.account
        if any(each.rule == "CML708" for each in before.findings):
            return [self._lost((SIMULATED, USED, USAGE), *_NOBODY)]
        refused: list[frozenset[str]] = []

        def simulate() -> Part:
            part, actions = simulated(self.aws, site, account, seen, before.findings)
            refused.append(actions)
            return part

        asked = self._ask(SIMULATED, simulate)
        if not asked.matrices and seen is not None:
            asked += decided_here(site, seen, account)
        known = refused[0] if refused else frozenset()
        now = self.asked.now
        return [
            asked,
            self._ask(USED, lambda: self._used(known)),
            self._ask(USAGE, lambda: usage_of(self.aws, site, account, now)),
        ]

    def _used(self, refused: frozenset[str]) -> Part:
        if self.manager is None:
            return USED.unchecked(self.account, _NO_MANAGER, _GIVE_MANAGER)
        return used(self.manager, self.site, self.account, self.asked.now, refused)
