"""Do steps one after the other, and find out what happened where no answer came."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from cml_iam.errors import AwsError, IncompleteError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from cml_iam.aws.port import Aws
    from cml_iam.provision._plan import Call, Step

PAUSES: Final = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Seconds between tries of a call that does not see yet what the call before it made."""

NOT_YET: Final = frozenset(
    {
        "NoSuchEntity",
        "EntityTemporarilyUnmodifiable",
        "NoSuchBucket",
        "OperationAborted",
        "CloudTrailAccessNotEnabledException",
        "InsufficientS3BucketPolicyException",
        "InvalidCloudWatchLogsLogGroupArnException",
        "InvalidCloudWatchLogsRoleArnException",
    }
)
"""What AWS says while it does not see everywhere yet what was made a moment ago."""


def do_steps(
    aws: Aws,
    steps: Iterable[Step],
    look: Callable[[], Iterable[Step]],
    report: Callable[[Step], None],
    pause: Callable[[float], None],
) -> None:
    """Do *steps*; *report* is called before each, *look* plans again where no answer came."""
    for step in steps:
        report(step)
        try:
            for call in step.calls:
                call_patiently(aws, call, pause)
        except AwsError as error:
            # The work may be done all the same: the answer was lost, or boto3 sent the call twice
            # and the second one failed on what the first had made.
            if not _settled(step, look, error):
                raise


def call_patiently(aws: Aws, call: Call, pause: Callable[[float], None]) -> dict[str, Any]:
    """Make *call*, again after a pause while AWS does not see yet what it builds on.

    IAM is eventually consistent: what an earlier step made may not be seen yet.
    https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot.html
    """
    for seconds in PAUSES:
        try:
            return _send(aws, call)
        except AwsError as error:
            if _removes(call) and isinstance(error, NotFoundError):
                return {}  # gone: that is what was wanted
            if error.code not in NOT_YET:
                raise
            pause(seconds)
    return _send(aws, call)


def _send(aws: Aws, call: Call) -> dict[str, Any]:
    return aws.call(
        call.service, call.operation, region=call.region, once=call.once, **call.parameters
    )


def _removes(call: Call) -> bool:
    return call.operation.startswith(("delete_", "detach_", "remove_", "deactivate_"))


def _settled(step: Step, look: Callable[[], Iterable[Step]], error: AwsError) -> bool:
    try:
        now = tuple(look())
    except AwsError as second:
        raise IncompleteError(
            f"stopped at the {step.resource} `{step.name}`: {error.message}; and nobody can tell "
            f"whether it worked: {second.message}",
            remedy="run the same again",
        ) from error
    # Of a resource made just now the tags have a step of their own, which is not in the plan.
    same = [each for each in now if (each.resource, each.name) == (step.resource, step.name)]
    return all(not each.changes for each in same)
