"""`AwsEc2Client`, the client of the setup guide, whose methods take the region first."""

from __future__ import annotations

import logging
from datetime import timedelta
from enum import Enum
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Final

from cml_iam.clock import parse_length
from cml_iam.cloud_manager._client import (
    AmiDetails,
    Client,
    Exceptions,
    Given,
    Instance,
    InstanceDetails,
    ResourcesUtilization,
    ami_details,
    instance_details,
)
from cml_iam.errors import NotFoundError
from cml_iam.tag import DEFAULT_TAG, Tag
from cml_iam.workers import USAGE, Launch, log_health

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cml_iam.workers import Worker

_LOG: Final = logging.getLogger("cml_iam.health")

UNKNOWN_STATUS: Final = {
    "instance_status_check": "unknown",
    "ec2_system_status_check": "unknown",
    "instance_state": "unknown",
    "monitoring_state": "disabled",
}


class AwsEc2Client(Client):
    """The application's EC2 client of the setup guide.

    A region is a string, or an enum whose value is its name. Instances are found with or without
    the guard tag; IAM decides which may be changed.
    """

    def __init__(
        self,
        credentials: Given,
        *,
        guard: Tag = DEFAULT_TAG,
        owners: Sequence[str] = ("self",),
        detailed_monitoring: bool = True,
        exceptions: Exceptions | None = None,
    ) -> None:
        """Accept the arguments of `Client`, and whether to launch with *detailed_monitoring*."""
        super().__init__(credentials, guard=guard, owners=owners, exceptions=exceptions)
        self._detailed_monitoring = detailed_monitoring

    async def health(
        self, aws_region: str | Enum | None = None, *, probe: Launch | None = None
    ) -> bool:
        """Log and return whether EC2 answers and allows every permission.

        A permission that could not be tried counts as missing, and the log names it. Without a
        worker, a launch can only be tried with the image and instance type of *probe*, and
        operations on workers cannot be tried.
        """
        health = await self.manager.health(region=_region(aws_region), probe=probe)
        log_health(health, _LOG)
        return health.ok

    async def get_ami_ids_by_name(self, aws_region: str | Enum, ami_name: str) -> list[str]:
        """Return the ids of the images of `owners` whose name contains *ami_name*, newest first."""
        with self._exceptions.raised("operation"):
            return list(
                await self.manager.get_ami_ids_by_name(
                    f"*{ami_name}*", region=_region(aws_region), owners=self.owners
                )
            )

    async def get_ami_details(self, aws_region: str | Enum, ami_id: str) -> AmiDetails | None:
        """Return the image *ami_id*, or None if this account cannot see it."""
        with self._exceptions.raised("operation"):
            try:
                return ami_details(await self.manager.get_image(ami_id, region=_region(aws_region)))
            except NotFoundError:
                return None

    async def create_instance(
        self,
        aws_region: str | Enum,
        instance_name: str,
        ami_id: str,
        ami_name: str,
        instance_type: str,
        security_group_ids: Sequence[str],
        subnet_id: str | None,
        key_name: str | None,
        *,
        tags: Mapping[str, str] | None = None,
    ) -> Instance:
        """Launch one instance with the guard tag on it and its volumes."""
        launch = Launch(
            instance_name,
            ami_id,
            instance_type,
            subnet_id=subnet_id,
            security_group_ids=tuple(security_group_ids),
            key_name=key_name,
            detailed_monitoring=self._detailed_monitoring,
            tags=dict(tags or {}),
        )
        with self._exceptions.raised("creation"):
            worker = await self.manager.create_instance(launch, region=_region(aws_region))
        return Instance(
            worker.id,
            worker.id,
            worker.region,
            instance_name,
            ami_id,
            ami_name,
            worker.instance_type,
            list(worker.security_group_ids),
            worker.subnet_id,
            worker.state,
            worker.key_name,
            worker.public_ip,
            worker.private_ip,
            worker.tags,
        )

    async def start_instance(self, aws_region: str | Enum, instance_id: str) -> bool:
        """Start the instance; return True or raise."""
        with self._exceptions.raised("operation"):
            await self.manager.start_instance(instance_id, region=_region(aws_region))
        return True

    async def stop_instance(self, aws_region: str | Enum, instance_id: str) -> bool:
        """Stop the instance; return True or raise."""
        with self._exceptions.raised("operation"):
            await self.manager.stop_instance(instance_id, region=_region(aws_region))
        return True

    async def terminate_instance(self, aws_region: str | Enum, instance_id: str) -> bool:
        """Terminate the instance permanently; return True or raise."""
        with self._exceptions.raised("operation"):
            await self.manager.terminate_instance(instance_id, region=_region(aws_region))
        return True

    async def get_instance_status_checks(
        self, aws_region: str | Enum, instance_id: str
    ) -> dict[str, str]:
        """Return both status checks, state and monitoring; `unknown` if there is no instance.

        Monitoring is `enabled` or `disabled`.
        """
        region = _region(aws_region)
        with self._exceptions.raised("status"):
            try:
                status = await self.manager.get_instance_status(instance_id, region=region)
                worker = await self.manager.get_instance_details(instance_id, region=region)
            except NotFoundError:
                return dict(UNKNOWN_STATUS)
        return {
            "instance_status_check": status.instance,
            "ec2_system_status_check": status.system,
            "instance_state": status.state,
            "monitoring_state": "enabled" if worker.detailed_monitoring else "disabled",
        }

    async def get_tags(self, aws_region: str | Enum, instance_id: str) -> dict[str, str]:
        """Return the tags of the instance."""
        with self._exceptions.raised("tags"):
            return await self.manager.get_instance_tags(instance_id, region=_region(aws_region))

    async def add_tags(
        self, aws_region: str | Enum, instance_id: str, tags: Mapping[str, str]
    ) -> bool:
        """Add *tags* or change their values; the guard tag is refused."""
        with self._exceptions.raised("tags"):
            await self.manager.update_instance_tags(instance_id, tags, region=_region(aws_region))
        return True

    async def remove_tags(
        self, aws_region: str | Enum, instance_id: str, tag_keys: Sequence[str]
    ) -> bool:
        """Remove the tags *tag_keys*; the guard tag is refused."""
        with self._exceptions.raised("tags"):
            await self.manager.delete_instance_tags(
                instance_id, tag_keys, region=_region(aws_region)
            )
        return True

    async def get_instance_details(
        self, aws_region: str | Enum, instance_id: str
    ) -> InstanceDetails:
        """Return the instance; raises the not-found error if there is none."""
        with self._exceptions.raised("operation"):
            return instance_details(
                await self.manager.get_instance_details(instance_id, region=_region(aws_region))
            )

    async def list_instances(
        self,
        region_name: str | Enum,
        instance_ids: Sequence[str] | None = None,
        instance_types: Sequence[str] | None = None,
        instance_states: Sequence[str] | None = None,
        image_ids: Sequence[str] | None = None,
        tag_filters: Mapping[str, str] | None = None,
    ) -> list[InstanceDetails]:
        """Return the instances, from all pages, that match every filter; None means no filter."""
        with self._exceptions.raised("operation"):
            workers = await self.manager.get_all_instances(
                region=_region(region_name),
                managed_only=False,
                states=tuple(instance_states or ()),
                instance_types=tuple(instance_types or ()),
                tags=dict(tag_filters or {}),
            )
        return [
            instance_details(worker)
            for worker in workers
            if _is_among(worker.id, instance_ids) and _is_among(worker.image_id, image_ids)
        ]

    async def get_instance_resources_utilization(
        self,
        aws_region: str | Enum,
        instance_id: str,
        relative_start_time: str | Enum,
    ) -> ResourcesUtilization:
        """Return the means of CPU and memory over the last *relative_start_time*, such as `1h`.

        A window shorter than three monitoring periods is extended to three, because CloudWatch
        often has no data point in a shorter one.
        """
        asked = str(_value(relative_start_time))
        region = _region(aws_region)
        with self._exceptions.raised("operation"):
            worker = await self.manager.get_instance_details(instance_id, region=region)
            measured = await self.manager.get_instance_resources_utilization(
                worker, window=_window(asked, worker), measures=USAGE
            )
        return ResourcesUtilization(
            worker.id,
            worker.region,
            asked,
            measured.start,
            measured.end,
            measured.avg_cpu_utilization,
            measured.avg_memory_utilization,
        )

    # The setup guide's names for the same methods.
    get_all_instances = list_instances
    get_instance_status = get_instance_status_checks
    update_instance_tags = add_tags
    delete_instance_tags = remove_tags
    get_instance_tags = get_tags


def _region(given: str | Enum | None) -> str | None:
    value = _value(given)
    return None if value is None else str(value)


def _value(given: Any) -> Any:
    return given.value if isinstance(given, Enum) else given


def _is_among(text: str, wanted: Sequence[str] | None) -> bool:
    return wanted is None or any(fnmatchcase(text, pattern) for pattern in wanted)


def _window(asked: str, worker: Worker) -> timedelta:
    period = timedelta(minutes=1 if worker.detailed_monitoring else 5)
    return max(parse_length(asked), 3 * period)
