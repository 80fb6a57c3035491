"""Why a worker is left alone: its tag says so, or AWS would not only stop it."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Final

from cml_iam.visible import visible

if TYPE_CHECKING:
    from cml_iam.workers._model import Worker


def held(worker: Worker, tag: str, now: datetime) -> str | None:
    """Return why no rule may stop or start *worker*, None where one may.

    Whoever set *tag* meant it: whatever its value is, the worker is held, unless that is a date
    that is over (`2026-12-31`, to its end in UTC) or a moment that has passed.
    """
    if tag not in worker.tags:
        return None
    value = worker.tags[tag].strip()
    until = _until(value)
    if until is None:
        return f"`{tag}={visible(value)}`" if value else f"`{tag}`"
    return f"`{tag}` until {until:%Y-%m-%d %H:%M} UTC" if now < until else None


_GROUP: Final = "aws:autoscaling:groupName"


def risk_of_stopping(worker: Worker) -> str | None:
    """Return what *worker* is that EC2 does not simply stop, in words; None for all others.

    https://docs.aws.amazon.com/autoscaling/ec2/userguide/health-checks-overview.html
    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/how-spot-instance-stop-start.html
    """
    if _GROUP in worker.tags:
        return (
            f"a member of the Auto Scaling group `{visible(worker.tags[_GROUP])}`, which "
            "terminates a stopped instance and launches another"
        )
    if worker.lifecycle == "spot":
        return "a Spot instance, which EC2 stops only where the Spot request is persistent"
    return None


def _until(value: str) -> datetime | None:
    try:
        return datetime.combine(date.fromisoformat(value), time(), UTC) + timedelta(days=1)
    except (ValueError, OverflowError):
        pass
    try:
        moment = datetime.fromisoformat(value)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
