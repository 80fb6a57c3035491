"""`AwsEc2SpiClient` and `AwsCloudWatchSpiClient`: the region belongs to the credentials."""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from cml_iam.cloud_manager._client import Client, Ec2Metrics, InstanceState, instance_state
from cml_iam.errors import NotFoundError
from cml_iam.workers import (
    Launch,
    Measure,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cml_iam.workers import Metric

_ENDED: Final = frozenset({"terminated", "shutting-down"})
_MEASURES: Final = (
    Measure.CPU,
    Measure.NETWORK_IN,
    Measure.NETWORK_OUT,
    Measure.DISK_READ_OPS,
    Measure.DISK_WRITE_OPS,
)


class AwsEc2SpiClient(Client):
    """The application's current EC2 client."""

    async def get_ami_ids_by_name(self, ami_name: str) -> list[str]:
        """Return the ids of the images of `owners` whose name contains *ami_name*, newest first."""
        with self._exceptions.raised("operation"):
            found = await self.manager.get_ami_ids_by_name(f"*{ami_name}*", owners=self.owners)
        return list(found)

    async def describe_image(self, image_id: str) -> dict[str, Any] | None:
        """Return the image as a dict, or None if this account cannot see it."""
        with self._exceptions.raised("operation"):
            try:
                image = await self.manager.get_image(image_id)
            except NotFoundError:
                return None
        return asdict(image)

    async def list_instances_by_ami(
        self, ami_ids: Sequence[str], include_terminated: bool = False
    ) -> list[InstanceState]:
        """Return the instances, from all pages, that were launched from one of *ami_ids*."""
        wanted = frozenset(ami_ids)
        with self._exceptions.raised("operation"):
            workers = await self.manager.get_all_instances(managed_only=False)
        return [
            instance_state(worker)
            for worker in workers
            if worker.image_id in wanted and (include_terminated or worker.state not in _ENDED)
        ]

    async def get_instance_state(self, instance_id: str) -> InstanceState | None:
        """Return the instance, or None if there is none."""
        with self._exceptions.raised("status"):
            try:
                return instance_state(await self.manager.get_instance_details(instance_id))
            except NotFoundError:
                return None

    async def start_instance(self, instance_id: str) -> bool:
        """Start the instance; return True or raise."""
        with self._exceptions.raised("operation"):
            await self.manager.start_instance(instance_id)
        return True

    async def stop_instance(self, instance_id: str) -> bool:
        """Stop the instance; return True or raise."""
        with self._exceptions.raised("operation"):
            await self.manager.stop_instance(instance_id)
        return True

    async def terminate_instance(self, instance_id: str) -> bool:
        """Terminate the instance permanently; return True or raise."""
        with self._exceptions.raised("operation"):
            await self.manager.terminate_instance(instance_id)
        return True

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
        named = dict(tags or {})
        launch = Launch(
            named.pop("Name", ""),
            ami_id,
            instance_type,
            subnet_id=subnet_id,
            security_group_ids=tuple(security_group_ids),
            key_name=key_name,
            tags=named,
            user_data=user_data,
        )
        with self._exceptions.raised("creation"):
            return (await self.manager.create_instance(launch)).id


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
