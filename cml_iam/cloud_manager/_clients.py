"""The application's clients.

The methods of `AwsEc2Client`, of the setup guide, take the region first. The region of
`AwsEc2SpiClient` and `AwsCloudWatchSpiClient` belongs to the credentials.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import timedelta
from enum import Enum
from fnmatch import fnmatchcase
from typing import Any, Final

from cml_iam.clock import parse_length
from cml_iam.cloud_manager._client import (
    AmiDetails,
    AnyCredentials,
    Client,
    Ec2Metrics,
    Exceptions,
    Instance,
    InstanceDetails,
    InstanceState,
    ResourcesUtilization,
    instance_details,
    instance_state,
)
from cml_iam.errors import NotFoundError
from cml_iam.tag import DEFAULT_TAG, Tag
from cml_iam.workers import USAGE, Launch, Measure, Metric, Worker, log_health

Region = str | Enum
"""A region's name, or an enum whose value is the name."""

_LOG: Final = logging.getLogger("cml_iam.health")

_MEASURES: Final = (
    Measure.CPU,
    Measure.NETWORK_IN,
    Measure.NETWORK_OUT,
    Measure.DISK_READ_OPS,
    Measure.DISK_WRITE_OPS,
)
UNKNOWN_STATUS: Final = {
    "instance_status_check": "unknown",
    "ec2_system_status_check": "unknown",
    "instance_state": "unknown",
    "monitoring_state": "disabled",
}


class AwsEc2Client(Client):
    """The application's EC2 client of the setup guide.

    Instances are found with or without the guard tag; IAM decides which may be changed.
    """

    def __init__(
        self,
        credentials: AnyCredentials,
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
        self, aws_region: Region | None = None, *, probe: Launch | None = None
    ) -> bool:
        """Log and return whether EC2 answers and allows every permission.

        A permission that could not be tried counts as missing, and the log names it. Without a
        worker, a launch can only be tried with the image and instance type of *probe*, and
        operations on workers cannot be tried.
        """
        health = await self.manager.health(region=_region(aws_region), probe=probe)
        log_health(health, _LOG)
        return health.ok

    async def get_ami_ids_by_name(self, aws_region: Region, ami_name: str) -> list[str]:
        """Return the ids of the images of `owners` whose name contains *ami_name*, newest first."""
        return await self._image_ids(ami_name, _region(aws_region))

    async def get_ami_details(self, aws_region: Region, ami_id: str) -> AmiDetails | None:
        """Return the image *ami_id*, or None if this account cannot see it."""
        answer = self.manager.get_image(ami_id, region=_region(aws_region))
        image = await self._answer_or_none("operation", answer)
        if image is None:
            return None
        return AmiDetails(image.id, image.name, image.description, image.created_at)

    async def create_instance(
        self,
        aws_region: Region,
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
        answer = self.manager.create_instance(launch, region=_region(aws_region))
        worker = await self._answer("creation", answer)
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

    async def start_instance(self, aws_region: Region, instance_id: str) -> bool:
        """Start the instance; return True or raise."""
        answer = self.manager.start_instance(instance_id, region=_region(aws_region))
        return await self._done("operation", answer)

    async def stop_instance(self, aws_region: Region, instance_id: str) -> bool:
        """Stop the instance; return True or raise."""
        answer = self.manager.stop_instance(instance_id, region=_region(aws_region))
        return await self._done("operation", answer)

    async def terminate_instance(self, aws_region: Region, instance_id: str) -> bool:
        """Terminate the instance permanently; return True or raise."""
        answer = self.manager.terminate_instance(instance_id, region=_region(aws_region))
        return await self._done("operation", answer)

    async def get_instance_status_checks(
        self, aws_region: Region, instance_id: str
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

    async def get_tags(self, aws_region: Region, instance_id: str) -> dict[str, str]:
        """Return the tags of the instance."""
        answer = self.manager.get_instance_tags(instance_id, region=_region(aws_region))
        return await self._answer("tags", answer)

    async def add_tags(self, aws_region: Region, instance_id: str, tags: Mapping[str, str]) -> bool:
        """Add *tags* or change their values; the guard tag is refused."""
        answer = self.manager.update_instance_tags(instance_id, tags, region=_region(aws_region))
        return await self._done("tags", answer)

    async def remove_tags(
        self, aws_region: Region, instance_id: str, tag_keys: Sequence[str]
    ) -> bool:
        """Remove the tags *tag_keys*; the guard tag is refused."""
        answer = self.manager.delete_instance_tags(
            instance_id, tag_keys, region=_region(aws_region)
        )
        return await self._done("tags", answer)

    async def get_instance_details(self, aws_region: Region, instance_id: str) -> InstanceDetails:
        """Return the instance; raises the not-found error if there is none."""
        answer = self.manager.get_instance_details(instance_id, region=_region(aws_region))
        return instance_details(await self._answer("operation", answer))

    async def list_instances(
        self,
        region_name: Region,
        instance_ids: Sequence[str] | None = None,
        instance_types: Sequence[str] | None = None,
        instance_states: Sequence[str] | None = None,
        image_ids: Sequence[str] | None = None,
        tag_filters: Mapping[str, str] | None = None,
    ) -> list[InstanceDetails]:
        """Return the instances, from all pages, that match every filter; None means no filter."""
        answer = self.manager.get_all_instances(
            region=_region(region_name),
            managed_only=False,
            states=tuple(instance_states or ()),
            instance_types=tuple(instance_types or ()),
            tags=dict(tag_filters or {}),
        )
        workers = await self._answer("operation", answer)
        return [
            instance_details(worker)
            for worker in workers
            if _is_among(worker.id, instance_ids) and _is_among(worker.image_id, image_ids)
        ]

    async def get_instance_resources_utilization(
        self, aws_region: Region, instance_id: str, relative_start_time: str | Enum
    ) -> ResourcesUtilization:
        """Return the means of CPU and memory over the last *relative_start_time*, such as `1h`.

        A window shorter than three monitoring periods is extended to three, because CloudWatch
        often has no data point in a shorter one.
        """
        length = _text(relative_start_time)
        region = _region(aws_region)
        with self._exceptions.raised("operation"):
            worker = await self.manager.get_instance_details(instance_id, region=region)
            measured = await self.manager.get_instance_resources_utilization(
                worker, window=_window(length, worker), measures=USAGE
            )
        return ResourcesUtilization(
            worker.id,
            worker.region,
            length,
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


class AwsEc2SpiClient(Client):
    """The application's current EC2 client."""

    async def get_ami_ids_by_name(self, ami_name: str) -> list[str]:
        """Return the ids of the images of `owners` whose name contains *ami_name*, newest first."""
        return await self._image_ids(ami_name)

    async def describe_image(self, image_id: str) -> dict[str, Any] | None:
        """Return the image as a dict, or None if this account cannot see it."""
        image = await self._answer_or_none("operation", self.manager.get_image(image_id))
        return asdict(image) if image else None

    async def list_instances_by_ami(
        self, ami_ids: Sequence[str], include_terminated: bool = False
    ) -> list[InstanceState]:
        """Return the instances, from all pages, that were launched from one of *ami_ids*."""
        answer = self.manager.get_all_instances(managed_only=False)
        workers = await self._answer("operation", answer)
        return [
            instance_state(worker)
            for worker in workers
            if worker.image_id in ami_ids and (include_terminated or not worker.ended)
        ]

    async def get_instance_state(self, instance_id: str) -> InstanceState | None:
        """Return the instance, or None if there is none."""
        worker = await self._answer_or_none(
            "status", self.manager.get_instance_details(instance_id)
        )
        return instance_state(worker) if worker else None

    async def start_instance(self, instance_id: str) -> bool:
        """Start the instance; return True or raise."""
        return await self._done("operation", self.manager.start_instance(instance_id))

    async def stop_instance(self, instance_id: str) -> bool:
        """Stop the instance; return True or raise."""
        return await self._done("operation", self.manager.stop_instance(instance_id))

    async def terminate_instance(self, instance_id: str) -> bool:
        """Terminate the instance permanently; return True or raise."""
        return await self._done("operation", self.manager.terminate_instance(instance_id))

    async def run_instance(
        self,
        ami_id: str,
        instance_type: str,
        subnet_id: str | None = None,
        security_group_ids: Sequence[str] = (),
        key_name: str | None = None,
        tags: Mapping[str, str] | None = None,
        user_data: str | None = None,
    ) -> str:
        """Launch one instance with *tags* and the guard tag, and return its id."""
        others = dict(tags or {})
        launch = Launch(
            others.pop("Name", ""),
            ami_id,
            instance_type,
            subnet_id=subnet_id,
            security_group_ids=tuple(security_group_ids),
            key_name=key_name,
            tags=others,
            user_data=user_data,
        )
        return (await self._answer("creation", self.manager.create_instance(launch))).id


class AwsCloudWatchSpiClient(Client):
    """The application's CloudWatch client."""

    async def get_ec2_metrics(
        self, instance_id: str, period_minutes: int = 5, lookback_minutes: int = 10
    ) -> Ec2Metrics:
        """Return the last values of the instance's metrics; None for unknown ones.

        The period is the instance's monitoring period, five minutes or one minute. The window is at
        least three periods, because a shorter one often has no data point.
        """
        window = timedelta(minutes=max(lookback_minutes, 3 * period_minutes, 3))
        with self._exceptions.raised("operation"):
            worker = await self.manager.get_instance_details(instance_id)
            if not worker.detailed_monitoring:
                window = max(window, timedelta(minutes=15))
            measured = await self.manager.get_instance_resources_utilization(
                worker, window=window, measures=_MEASURES
            )
        metrics = measured.metrics
        starts = [point.at for metric in metrics.values() for point in metric.points[-1:]]
        return Ec2Metrics(
            instance_id,
            metrics[Measure.CPU].latest,
            _counted(metrics[Measure.NETWORK_IN]),
            _counted(metrics[Measure.NETWORK_OUT]),
            _counted(metrics[Measure.DISK_READ_OPS]),
            _counted(metrics[Measure.DISK_WRITE_OPS]),
            max(starts, default=None),
        )


def _counted(metric: Metric) -> float | None:
    """Return the total of *metric* in its last period, computed from the rate per second."""
    return None if metric.latest is None else metric.latest * metric.period


def _region(region: Region | None) -> str | None:
    return None if region is None else _text(region)


def _text(name: str | Enum) -> str:
    return str(name.value if isinstance(name, Enum) else name)


def _is_among(text: str, patterns: Sequence[str] | None) -> bool:
    return patterns is None or any(fnmatchcase(text, pattern) for pattern in patterns)


def _window(length: str, worker: Worker) -> timedelta:
    period = timedelta(minutes=1 if worker.detailed_monitoring else 5)
    return max(parse_length(length), 3 * period)
