"""What the manager asks EC2 to change, as values: sent, or tried with DryRun."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from cml_iam.errors import AwsError, InputError
from cml_iam.workers._launch import run_instances
from cml_iam.workers._model import check_id
from cml_iam.workers._tags import as_aws, check_removal, check_update

if TYPE_CHECKING:
    from cml_iam.aws.port import Aws
    from cml_iam.workers._launch import Launch
    from cml_iam.workers._tags import GuardTag

DRY_RUN_PASSED = "DryRunOperation"


@dataclass(frozen=True, slots=True)
class Ask:
    """One call to EC2 that changes something; *changes* is the answer's list of state changes."""

    operation: str
    parameters: Mapping[str, Any]
    changes: str | None = None

    def send(self, aws: Aws, region: str, *, once: bool = False) -> dict[str, Any]:
        """Do it; with *once* without sending it again when no answer comes."""
        return aws.call("ec2", self.operation, region=region, once=once, **self.parameters)

    def try_out(self, aws: Aws, region: str) -> None:
        """Ask whether it is permitted, changing nothing; raises DeniedError where it is not.

        EC2 answers permission to a dry run with the error DryRunOperation.
        https://docs.aws.amazon.com/AWSEC2/latest/APIReference/CommonParameters.html
        """
        try:
            aws.call("ec2", self.operation, region=region, **self.parameters, DryRun=True)
        except AwsError as error:
            if error.code == DRY_RUN_PASSED:
                return
            raise
        raise AwsError(
            f"the endpoint took the dry run of `{self.operation}` for the real call",
            operation=self.operation,
            remedy="do not use this endpoint: it does not speak EC2's DryRun",
        )


def launch_ask(launch: Launch, guard: GuardTag) -> Ask:
    """Ask for one new worker."""
    return Ask("run_instances", run_instances(launch, guard))


def operate_ask(operation: str, ids: Sequence[str], **options: bool) -> Ask:
    """Ask EC2 for *operation* on workers, such as `start_instances`, with *options*."""
    return Ask(operation, {"InstanceIds": _checked(ids), **options}, _CHANGES.get(operation))


_CHANGES: Final = {
    "start_instances": "StartingInstances",
    "stop_instances": "StoppingInstances",
    "terminate_instances": "TerminatingInstances",
}
"""Where an answer lists the changes of state; that of other operations has none."""


def start_ask(ids: Sequence[str]) -> Ask:
    """Ask to start stopped workers."""
    return operate_ask("start_instances", ids)


def stop_ask(ids: Sequence[str], *, force: bool = False, hibernate: bool = False) -> Ask:
    """Ask to stop running workers; *force* does not wait for the system to shut down."""
    if force and hibernate:
        raise InputError("a worker is stopped by force or hibernated, not both")
    options = {"Force": force, "Hibernate": hibernate}
    chosen = {name: True for name, wanted in options.items() if wanted}
    return operate_ask("stop_instances", ids, **chosen)


def terminate_ask(ids: Sequence[str]) -> Ask:
    """Ask to terminate workers permanently."""
    return operate_ask("terminate_instances", ids)


def tag_ask(ids: Sequence[str], tags: Mapping[str, str], guard: GuardTag) -> Ask:
    """Ask to add tags to workers, or to change their values."""
    check_update(tags, guard)
    return Ask("create_tags", {"Resources": _checked(ids), "Tags": as_aws(tags)})


def adopt_ask(ids: Sequence[str], guard: GuardTag) -> Ask:
    """Ask to put the guard tag on instances, which makes workers of them.

    The hardened policy refuses it to the manager by design: whoever may set the guard tag may take
    any instance over.
    """
    return Ask(
        "create_tags", {"Resources": _checked(ids), "Tags": as_aws({guard.key: guard.value})}
    )


def untag_ask(ids: Sequence[str], keys: Sequence[str], guard: GuardTag) -> Ask:
    """Ask to remove the tags *keys* from workers, whatever their values."""
    check_removal(keys, guard)
    named = [{"Key": key} for key in dict.fromkeys(keys)]
    return Ask("delete_tags", {"Resources": _checked(ids), "Tags": named})


def _checked(ids: Sequence[str]) -> list[str]:
    if not ids:
        raise InputError("no worker given")
    return [check_id(each) for each in ids]
