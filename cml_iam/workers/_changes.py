"""The changes that the manager requests from EC2, as values; each can also be only a DryRun.

Rules for tags: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Tags.html#tag-restrictions
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final
from uuid import uuid4

from cml_iam.aws.port import Aws
from cml_iam.errors import AwsError, InputError, RefusedError
from cml_iam.tag import Tag, as_aws
from cml_iam.visible import unseen, visible
from cml_iam.workers._model import Worker, check_id, is_instance_id

_MAX_TOKEN: Final = 64
_MAX_USER_DATA: Final = 16 * 1024
_MAX_TAGS: Final = 50
_MAX_KEY, _MAX_VALUE = 128, 256
_INTEL: Final = re.compile(r"[a-z]+([0-9]+)i[a-z]*(-flex)?\.")


@dataclass(frozen=True, slots=True)
class Disk:
    """The root volume: *device* is the image's root device; the default size is the image's."""

    size_gib: int | None = None
    device: str = "/dev/sda1"
    volume_type: str = "gp3"
    encrypted: bool = True
    kms_key_id: str | None = None


@dataclass(frozen=True, slots=True)
class Launch:
    """A worker to launch, exactly one.

    *client_token* makes the request safe to repeat: within a day, the same token with the same
    request never creates a second worker, from any process. The token is part of the value, so
    passing the same Launch again passes the same token.
    https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-idempotency.html

    *nested* requests nested virtualization, which only 8th generation Intel types have; a metal
    type does not need it. *user_data* is plain text, not base64. *sent_tags*, by resource type,
    replace the guard tag, the name and *tags*, to try a launch as another client sends it.
    """

    name: str
    image_id: str
    instance_type: str
    subnet_id: str | None = None
    security_group_ids: tuple[str, ...] = ()
    key_name: str | None = None
    instance_profile: str | None = None
    disk: Disk | None = None
    user_data: str | None = None
    nested: bool = False
    detailed_monitoring: bool = False
    tags: Mapping[str, str] = field(default_factory=dict)
    sent_tags: Mapping[str, Mapping[str, str]] | None = None
    client_token: str = field(default_factory=lambda: str(uuid4()))

    def filled(self, worker: Worker | None) -> Launch | None:
        """Return this launch with missing values taken from *worker*; None if some stay unknown."""
        launch = self
        if worker:
            launch = replace(
                self,
                image_id=self.image_id or worker.image_id,
                instance_type=self.instance_type or worker.instance_type,
                subnet_id=self.subnet_id or worker.subnet_id,
                security_group_ids=self.security_group_ids or worker.security_group_ids,
            )
        return launch if launch.image_id and launch.instance_type else None


DRY_RUN_PASSED = "DryRunOperation"


@dataclass(frozen=True, slots=True)
class Change:
    """An EC2 call that changes something; *changes* names the response's list of state changes."""

    operation: str
    parameters: Mapping[str, Any]
    changes: str | None = None

    def send(self, aws: Aws, region: str, *, once: bool = False) -> dict[str, Any]:
        """Make the call; *once* disables retries."""
        return aws.call("ec2", self.operation, region=region, once=once, **self.parameters)

    def try_out(self, aws: Aws, region: str) -> None:
        """Check the permission with a DryRun, which changes nothing; raises DeniedError if denied.

        EC2 answers a permitted dry run with the error DryRunOperation.
        https://docs.aws.amazon.com/AWSEC2/latest/APIReference/CommonParameters.html
        """
        try:
            aws.call("ec2", self.operation, region=region, **self.parameters, DryRun=True)
        except AwsError as error:
            if error.code == DRY_RUN_PASSED:
                return
            raise
        raise AwsError(
            f"the endpoint executed the dry run of `{self.operation}` as a real call",
            operation=self.operation,
            remedy="do not use this endpoint: it does not support EC2's DryRun",
        )


def launch_change(launch: Launch, guard: Tag) -> Change:
    """Launch one new worker, with the exact guard tag key.

    The request tags the instance and its volumes, so a policy can require the tags at launch, and
    the worker never exists without them.
    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/supported-iam-actions-tagging.html
    """
    _check(launch)
    profile = launch.instance_profile or ""
    name_or_arn = "Arn" if profile.startswith("arn:") else "Name"
    optional: dict[str, Any] = {
        "SubnetId": launch.subnet_id,
        "SecurityGroupIds": list(launch.security_group_ids),
        "KeyName": launch.key_name,
        "IamInstanceProfile": {name_or_arn: profile} if profile else None,
        "BlockDeviceMappings": [_root_volume(launch.disk)] if launch.disk else None,
        "UserData": launch.user_data,
        "CpuOptions": {"NestedVirtualization": "enabled"} if launch.nested else None,
        "Monitoring": {"Enabled": True} if launch.detailed_monitoring else None,
    }
    parameters = {
        "ImageId": launch.image_id,
        "InstanceType": launch.instance_type,
        "MinCount": 1,
        "MaxCount": 1,
        "ClientToken": launch.client_token,
        "TagSpecifications": [
            {"ResourceType": kind, "Tags": as_aws(tags)}
            for kind, tags in tags_at_launch(launch, guard).items()
        ],
        "MetadataOptions": {"HttpTokens": "required", "HttpEndpoint": "enabled"},
    }
    return Change(
        "run_instances", parameters | {name: value for name, value in optional.items() if value}
    )


def tags_at_launch(launch: Launch, guard: Tag) -> Mapping[str, Mapping[str, str]]:
    """Return the tags in the launch request, by resource type."""
    if launch.sent_tags is not None:
        return launch.sent_tags
    for key, value in launch.tags.items():
        if guard.is_key(key) and (key, value) != (guard.key, guard.value):
            raise RefusedError(
                f"a worker is launched with the guard tag `{guard}`, not with `{key}={value}`",
                remedy="omit this tag: it is set automatically",
            )
    tags = {**launch.tags, "Name": launch.name, guard.key: guard.value}
    _check_tags(tags)
    return dict.fromkeys(("instance", "volume"), tags)


def _root_volume(disk: Disk) -> dict[str, Any]:
    volume: dict[str, Any] = {
        "VolumeType": disk.volume_type,
        "Encrypted": disk.encrypted,
        "DeleteOnTermination": True,
    }
    optional = {"VolumeSize": disk.size_gib, "KmsKeyId": disk.kms_key_id}
    volume |= {name: value for name, value in optional.items() if value}
    return {"DeviceName": disk.device, "Ebs": volume}


def _check(launch: Launch) -> None:
    check_name(launch.name)
    if not launch.image_id.startswith("ami-"):
        raise InputError(
            f"not an image id: `{visible(launch.image_id)}`", remedy="an id begins with `ami-`"
        )
    token = launch.client_token
    if not (0 < len(token) <= _MAX_TOKEN and token.isascii()):
        raise InputError(f"a client token has 1 to {_MAX_TOKEN} ASCII characters: `{token}`")
    if len((launch.user_data or "").encode()) > _MAX_USER_DATA:
        raise InputError("user data is longer than 16 KiB, the EC2 limit")
    if launch.nested and not _can_nest(launch.instance_type):
        raise InputError(
            f"`{launch.instance_type}` has no nested virtualization",
            remedy="use a virtual type of c8i, m8i, r8i or later, or a metal type",
        )
    if launch.disk and launch.disk.size_gib is not None and launch.disk.size_gib < 1:
        raise InputError(f"a disk must have at least 1 GiB: `{launch.disk.size_gib}`")


def _can_nest(instance_type: str) -> bool:
    """Return whether the type may nest virtual machines: Intel, 8th generation or later.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CpuOptionsRequest.html
    """
    intel = _INTEL.match(instance_type)
    return intel is not None and int(intel[1]) >= 8 and ".metal" not in instance_type


def operate_change(operation: str, ids: Sequence[str], **options: bool) -> Change:
    """Perform *operation* on workers, such as `start_instances`, with *options*."""
    return Change(operation, {"InstanceIds": _checked(ids), **options}, _CHANGES.get(operation))


_CHANGES: Final = {
    "start_instances": "StartingInstances",
    "stop_instances": "StoppingInstances",
    "terminate_instances": "TerminatingInstances",
}
"""By operation, the member of the response that lists the state changes."""


def start_change(ids: Sequence[str]) -> Change:
    """Start stopped workers."""
    return operate_change("start_instances", ids)


def stop_change(ids: Sequence[str], *, force: bool = False, hibernate: bool = False) -> Change:
    """Stop running workers; *force* stops them without waiting for the system to shut down."""
    if force and hibernate:
        raise InputError("a worker can be stopped by force or hibernated, but not both")
    options = {"Force": force, "Hibernate": hibernate}
    chosen = {name: True for name, is_chosen in options.items() if is_chosen}
    return operate_change("stop_instances", ids, **chosen)


def terminate_change(ids: Sequence[str]) -> Change:
    """Terminate workers permanently."""
    return operate_change("terminate_instances", ids)


def tag_change(ids: Sequence[str], tags: Mapping[str, str], guard: Tag) -> Change:
    """Add tags to workers, or change their values."""
    if not tags:
        raise InputError("no tag given", remedy="name at least one as KEY=VALUE")
    _leave_guard_alone(tags, guard)
    _check_tags(tags)
    if "Name" in tags:
        check_name(tags["Name"])
    return _tagging(ids, tags)


def adopt_change(ids: Sequence[str], guard: Tag) -> Change:
    """Add the guard tag to instances, which makes them workers.

    The hardened policy deliberately refuses this to the manager, because whoever may set the guard
    tag may take over any instance.
    """
    return _tagging(ids, {guard.key: guard.value})


def _tagging(ids: Sequence[str], tags: Mapping[str, str]) -> Change:
    return Change("create_tags", {"Resources": _checked(ids), "Tags": as_aws(tags)})


def untag_change(ids: Sequence[str], keys: Sequence[str], guard: Tag) -> Change:
    """Remove the tags *keys* from workers, whatever their values.

    DeleteTags without a list of tags deletes all of them, including the guard tag.
    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DeleteTags.html
    """
    if not keys:
        raise InputError(
            "no tag given: AWS would delete all tags", remedy="name the tags to remove"
        )
    _leave_guard_alone(keys, guard)
    for key in keys:
        _check_key(key)
    named = [{"Key": key} for key in dict.fromkeys(keys)]
    return Change("delete_tags", {"Resources": _checked(ids), "Tags": named})


def _checked(ids: Sequence[str]) -> list[str]:
    if not ids:
        raise InputError("no worker given")
    return [check_id(instance_id) for instance_id in ids]


def _check_tags(tags: Mapping[str, str]) -> None:
    if len(tags) > _MAX_TAGS:
        raise InputError(f"{len(tags)} tags: an instance can have at most {_MAX_TAGS}")
    for key, value in tags.items():
        _check_key(key)
        if len(value) > _MAX_VALUE:
            raise InputError(
                f"the value of tag `{visible(key)}` is longer than {_MAX_VALUE} characters"
            )
        _check_seen(key, f"the key of tag `{visible(key)}`")
        _check_seen(value, f"the value of tag `{visible(key)}`")


def check_name(name: str) -> None:
    """Raise InputError unless *name* can be typed and cannot be mistaken for an id or a pattern."""
    if not name.strip():
        raise InputError("a worker needs a name")
    _check_seen(name, "the name")
    if name != name.strip():
        raise InputError(f"a name must not begin or end with a space: `{name}`")
    if set("*?") & set(name):
        raise RefusedError(
            f"`{name}` would match other workers too: * and ? are wildcards",
            remedy="leave them out of the name",
        )
    if is_instance_id(name):
        raise RefusedError(f"`{name}` looks like an instance id", remedy="another name")


def _check_seen(text: str, subject: str) -> None:
    if characters := unseen(text):
        raise InputError(
            f"{subject} has invisible characters: {', '.join(characters)}",
            remedy="remove line breaks, control and formatting characters",
        )


def _check_key(key: str) -> None:
    if not key or len(key) > _MAX_KEY:
        shown = visible(key[:_MAX_KEY])
        raise InputError(f"a tag's key has 1 to {_MAX_KEY} characters: `{shown}`")
    if key.casefold().startswith("aws:"):
        raise RefusedError(f"tag `{key}` is reserved: keys that begin with `aws:` belong to AWS")


def _leave_guard_alone(keys: Iterable[str], guard: Tag) -> None:
    for key in keys:
        if guard.is_key(key):
            raise RefusedError(
                f"`{key}` is the guard tag: another value makes the manager lose the worker or "
                "take over a foreign instance",
                remedy="only an administrator may set it, with other credentials",
            )
