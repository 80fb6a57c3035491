"""What prevents the manager from working, and what to do about it: troubleshooting as code.

for each in examine(scene):
    each.state, each.subject, each.said, each.remedy
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from cml_iam.aws import greet, source_of
from cml_iam.check._check import answers, fact
from cml_iam.check._list import DOCTOR
from cml_iam.check.refusal import Deciding
from cml_iam.errors import AwsError, CmlIamError, NotFoundError
from cml_iam.principal import principal_of_arn, read_holdings
from cml_iam.workers import try_permissions

if TYPE_CHECKING:
    from collections.abc import Collection

    from cml_iam.aws import Greeting, Source
    from cml_iam.aws.port import Aws, Identity
    from cml_iam.check._answer import Diagnosis
    from cml_iam.site import Site
    from cml_iam.workers import Health, Launch, WorkerManager


@dataclass(frozen=True, slots=True)
class Who:
    """The credential in use, and the identity AWS sees, or why there is none."""

    source: Source | None
    identity: Identity | None = None
    failure: CmlIamError | None = None


@dataclass(frozen=True)
class Scene:
    """A machine, its credential and the manager; each fact is read once.

    *manager* and *aws* act as the manager itself; *admin*, if given, may read IAM. *profile* and
    *endpoint_url* come from the command line. *now* returns this machine's time, *probe* what to
    try launching in a region. With *explains*, a refusal is explained by the policies, which takes
    further calls.
    """

    aws: Aws
    manager: WorkerManager
    regions: tuple[str, ...]
    home: str
    site: Site | None
    now: Callable[[], datetime]
    admin: Aws | None = None
    profile: str | None = None
    endpoint_url: str | None = None
    env_file: Path = Path(".env")
    probe: Callable[[str], Launch | None] = lambda _region: None
    explains: bool = True

    @property
    def reader(self) -> Aws:
        """The connection used to ask IAM."""
        return self.admin or self.aws

    @fact
    def who(self) -> Who:
        """The credential in use, and the identity AWS sees for it."""
        source = None
        try:
            source = source_of(self.aws)
            return Who(source, self.aws.identity())
        except CmlIamError as error:
            return Who(source, failure=error)

    @fact
    def greetings(self) -> dict[str, Greeting | CmlIamError]:
        """What answers for each service, or why nothing does."""
        return {each: self._greeting(each) for each in ("sts", "ec2", "cloudwatch")}

    def _greeting(self, service: str) -> Greeting | CmlIamError:
        where = {"profile": self.profile, "endpoint_url": self.endpoint_url}
        try:
            return greet(service, self.home, now=self.now, **where)
        except CmlIamError as error:
            return error

    @fact
    def health(self) -> tuple[Health, ...]:
        """What the manager can do in each region."""
        grants = self.site.grant.active if self.site else ()
        return try_permissions(self.manager, self.regions, self.probe, grants=grants)

    @fact
    def deciding(self) -> Deciding | str:
        """The policies that decide: those attached, or those the site renders, or why not known."""
        who = self.who.identity
        named = principal_of_arn(who.arn) if who else None
        if who is None or named is None:
            return "the account's root has no policies"
        try:
            holdings = read_holdings(self.reader, *named, account=who.account)
        except NotFoundError as error:
            return self._rendered(f"the policies attached: {error.message}")
        except AwsError:
            return self._rendered("")
        for each in holdings.unread:
            if not isinstance(each.error, AwsError):
                return f"an attached policy cannot be judged: {each.error.message}"
        if holdings.unread:
            return self._rendered("; ".join(each.words for each in holdings.unread))
        boundary = holdings.boundary.document if holdings.boundary else None
        return Deciding(holdings.documents, boundary)

    def _rendered(self, unread: str) -> Deciding | str:
        if self.site is None:
            why = (
                f"could not read {unread}"
                if unread
                else "these credentials may not read its policies"
            )
            return f"{why}, and there is no site file to render"
        from cml_iam.render import render_policy

        return Deciding((render_policy(self.site).document,), live=False, unread=unread)


def examine(scene: Scene, areas: Collection[str] = ()) -> tuple[Diagnosis, ...]:
    """Return the diagnoses in *areas* (ids of checks; by default all); changes nothing.

    Any error from AWS becomes a diagnosis and is never raised.
    """
    chosen = [each for each in DOCTOR if not areas or each.id in areas]
    return answers(chosen, scene).diagnoses
