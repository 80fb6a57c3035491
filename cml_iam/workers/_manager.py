"""The worker manager, with the method names of CML Cloud Manager's documentation."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from functools import partial
from typing import Any

from cml_iam import clock
from cml_iam.aws.port import Aws, Session
from cml_iam.errors import AwsError, InputError, NotFoundError, RefusedError, UnreachableError
from cml_iam.tag import DEFAULT_TAG, Tag
from cml_iam.workers._changes import (
    Change,
    Launch,
    launch_change,
    start_change,
    stop_change,
    tag_change,
    terminate_change,
    untag_change,
)
from cml_iam.workers._health import Health, ToTry, check_connection, check_health
from cml_iam.workers._metric import EVERY, USAGE, Measure, Utilization
from cml_iam.workers._metric_series import DEFAULT_WINDOW, by_data, by_statistics
from cml_iam.workers._metrics import History, measure
from cml_iam.workers._model import (
    Image,
    InstanceStatus,
    StateChange,
    Worker,
    change_from,
    check_id,
    from_aws,
    image_from,
    status_from,
    worker_from,
)

PAGE = 500
"""The number of elements per page, half of EC2's maximum.

Reading a page of 500 instances takes 17 MB. Calls that request no pages have a smaller quota.
https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-throttling.html
"""


class WorkerManager:
    """Runs the workers of one account, as one principal.

    Every method takes *region*, by default the region of *aws*, and raises an AwsError that matches
    the failure. It needs only the permission that the catalogue lists for it. The only state kept
    about workers is where their metrics were last found. The manager may be used from many threads.
    """

    def __init__(
        self,
        aws: Aws | None = None,
        *,
        session: Session | None = None,
        guard: Tag | None = None,
        now: Callable[[], datetime] = clock.now,
    ) -> None:
        """Work through *aws*, or with the credentials of the boto3 session *session*.

        *guard* is the site's guard tag (`site.restrict.guard_tag`), which marks the workers; None
        is `ManagedBy=lablet-cloud-manager`. Without a connection or a session, boto3's default
        credentials are used. Raises InputError for both, and what `cml_iam.connect` raises.
        """
        if aws is not None and session is not None:
            raise InputError("pass a connection or a session, not both")
        if aws is None:
            from cml_iam.aws import connect  # loads botocore

            aws = connect(session=session)
        self._aws = aws
        self._now = now
        self._history = History()
        self.guard = guard or DEFAULT_TAG

    def create_instance(
        self, launch: Launch, *, region: str | None = None, once: bool = False
    ) -> Worker:
        """Launch one worker with the guard tag on it and its volumes; *once* disables retries.

        If there is no response, the worker may still exist; the error's remedy names the client
        token with which the same request can be repeated safely.
        """
        where = self._region(region)
        try:
            answer = launch_change(launch, self.guard).send(self._aws, where, once=once)
        except UnreachableError as error:
            raise UnreachableError(
                error.message,
                code=error.code,
                operation=error.operation,
                remedy="the worker may exist; repeat with the client token "
                f"`{launch.client_token}`, which never creates a second worker",
            ) from None
        return worker_from(answer["Instances"][0], where)

    def start_instance(self, instance_id: str, *, region: str | None = None) -> StateChange:
        """Start a stopped worker."""
        return self.do(start_change([instance_id]), region=region)[0]

    def stop_instance(
        self,
        instance_id: str,
        *,
        region: str | None = None,
        force: bool = False,
        hibernate: bool = False,
    ) -> StateChange:
        """Stop a running worker; *hibernate* works only if it was launched for it."""
        ask = stop_change([instance_id], force=force, hibernate=hibernate)
        return self.do(ask, region=region)[0]

    def terminate_instance(self, instance_id: str, *, region: str | None = None) -> StateChange:
        """Terminate a worker permanently; raises ProtectedError if it is protected."""
        return self.do(terminate_change([instance_id]), region=region)[0]

    def get_instance_details(self, instance_id: str, *, region: str | None = None) -> Worker:
        """Return the worker; raises NotFoundError if the instance does not exist."""
        for worker in self._instances(region, InstanceIds=[check_id(instance_id)]):
            return worker
        raise self._unknown("instance", instance_id, region)

    def get_all_instances(
        self,
        *,
        region: str | None = None,
        managed_only: bool = True,
        states: Sequence[str] = (),
        instance_types: Sequence[str] = (),
        tags: Mapping[str, str] | None = None,
    ) -> tuple[Worker, ...]:
        """Return all workers, or with *managed_only* False all instances, by name and id.

        *states*, *instance_types* (with * and ?) and *tags* filter the result; empty means any.
        """
        filters = [_filter(f"tag:{key}", [value]) for key, value in (tags or {}).items()]
        if managed_only:
            filters.append(_filter(f"tag:{self.guard.key}", [self.guard.value]))
        if states:
            filters.append(_filter("instance-state-name", list(states)))
        narrowed: dict[str, Any] = {"Filters": filters} if filters else {}
        workers = (
            worker
            for worker in self._instances(region, MaxResults=PAGE, **narrowed)
            if not instance_types
            or any(fnmatchcase(worker.instance_type, pattern) for pattern in instance_types)
        )
        return tuple(sorted(workers, key=lambda worker: (worker.name, worker.id)))

    def find_instances(
        self, instance_ids: Sequence[str], *, region: str | None = None
    ) -> tuple[Worker, ...]:
        """Return the instances with *instance_ids* that exist here; ignores unknown ids."""
        filters = [_filter("instance-id", list(map(check_id, instance_ids)))]
        return tuple(self._instances(region, MaxResults=PAGE, Filters=filters))

    def find_by_client_token(self, token: str, *, region: str | None = None) -> Worker | None:
        """Return the instance launched with the client token *token*, or None."""
        filters = [_filter("client-token", [token])]
        return next(self._instances(region, MaxResults=PAGE, Filters=filters), None)

    def get_instance_status(self, instance_id: str, *, region: str | None = None) -> InstanceStatus:
        """Return the state and both status checks, even if the worker is not running."""
        for status in self.get_statuses([instance_id], region=region):
            return status
        raise self._unknown("instance", instance_id, region)

    def get_statuses(
        self, instance_ids: Sequence[str], *, region: str | None = None
    ) -> tuple[InstanceStatus, ...]:
        """Return the status of each of up to 100 workers, in no particular order."""
        ids = list(map(check_id, instance_ids))
        statuses = self._pages(
            "describe_instance_status",
            "InstanceStatuses",
            region,
            InstanceIds=ids,
            IncludeAllInstances=True,
        )
        return tuple(map(status_from, statuses))

    def get_image(self, image_id: str, *, region: str | None = None) -> Image:
        """Return the image; raises NotFoundError if this account cannot see it."""
        answer = self._aws.call(
            "ec2", "describe_images", region=self._region(region), ImageIds=[image_id]
        )
        for raw in answer.get("Images", ()):
            return image_from(raw)
        raise self._unknown("image", image_id, region)

    def find_images_by_id(
        self, image_ids: Sequence[str], *, region: str | None = None
    ) -> tuple[Image, ...]:
        """Return the images, of up to 200 *image_ids*, that this account can still see."""
        filters = [_filter("image-id", list(image_ids))]
        images = self._pages("describe_images", "Images", region, Filters=filters)
        return tuple(map(image_from, images))

    def get_ami_ids_by_name(
        self, name: str, *, region: str | None = None, owners: Sequence[str] = ("self",)
    ) -> tuple[str, ...]:
        """Return the ids of images called *name*, newest first; see `find_images`."""
        return tuple(image.id for image in self.find_images(name, region=region, owners=owners))

    def find_images(
        self, name: str, *, region: str | None = None, owners: Sequence[str] = ("self",)
    ) -> tuple[Image, ...]:
        """Return the available images called *name* (with * and ?), newest first.

        *owners* are accounts, `self`, `amazon` or `aws-marketplace`. They are required, because
        otherwise anybody's public image of that name would be found:
        https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/finding-an-ami.html
        """
        if not owners:
            raise RefusedError(
                "images of all accounts are not searched by name: anyone can publish that name",
                remedy="name the trusted owners: `self`, or account ids",
            )
        filters = [_filter("name", [name]), _filter("state", ["available"])]
        images = self._pages(
            "describe_images", "Images", region, Owners=list(owners), Filters=filters
        )
        newest_first = sorted(images, key=lambda raw: raw.get("CreationDate", ""), reverse=True)
        return tuple(map(image_from, newest_first))

    def health(
        self,
        *,
        region: str | None = None,
        probe: ToTry = None,
        permissions: bool = True,
        grants: Iterable[str] = (),
    ) -> Health:
        """Ask EC2 for its regions, then check each permission of the catalogue.

        Without *permissions*, only calls DescribeRegions. Changes nothing: EC2 calls use DryRun,
        and CloudWatch returns one data point. *probe* is the launch to try, or a function that
        returns the launch once EC2 has answered; missing values ("" or None) are taken from an
        existing worker. Never raises an AwsError; a permission that could not be checked is marked.
        """
        where = self._region(region)
        if not permissions:
            return check_connection(self._aws, where)
        return check_health(self._aws, where, self.guard, self._now(), probe, grants)

    def update_instance_tags(
        self, instance_id: str, tags: Mapping[str, str], *, region: str | None = None
    ) -> None:
        """Add *tags*, or change their values; the guard tag and `aws:` keys are refused."""
        self.do(tag_change([instance_id], tags, self.guard), region=region)

    def delete_instance_tags(
        self, instance_id: str, keys: Sequence[str], *, region: str | None = None
    ) -> None:
        """Remove the tags *keys*; the guard tag, `aws:` keys and an empty list are refused."""
        self.do(untag_change([instance_id], keys, self.guard), region=region)

    def get_instance_tags(self, instance_id: str, *, region: str | None = None) -> dict[str, str]:
        """Return the worker's tags."""
        filters = [
            _filter("resource-id", [check_id(instance_id)]),
            _filter("resource-type", ["instance"]),
        ]
        tags = self._pages("describe_tags", "Tags", region, Filters=filters, MaxResults=PAGE)
        return from_aws(tags)

    def get_instance_resources_utilization(
        self,
        worker: Worker | str,
        *,
        region: str | None = None,
        window: timedelta = DEFAULT_WINDOW,
        measures: Sequence[Measure] = EVERY,
    ) -> Utilization:
        """Return CPU, memory, network and disk over the last *window*, or why each is unknown.

        Pass the Worker, not only its id: the dimensions of memory and disk metrics depend on its
        image, type and volumes. Raises CredentialsError; any other failure makes the metric unknown
        and is its reason.
        """
        if isinstance(worker, str):
            where = self._region(region)
            worker = Worker(check_id(worker), where, "running", instance_type="", image_id="")
        used = self.get_utilization_of([worker], window=window, measures=measures)
        return used[worker.id]

    def do(self, ask: Change, *, region: str | None = None) -> tuple[StateChange, ...]:
        """Carry out *ask*; return the change of each of its workers, or none for tags.

        Raises AwsError if EC2 does not confirm every worker.
        """
        answer = ask.send(self._aws, self._region(region))
        if ask.changes is None:
            return ()
        changes = {change.id: change for change in map(change_from, answer.get(ask.changes, ()))}
        ids = ask.parameters["InstanceIds"]
        if missing := [instance_id for instance_id in ids if instance_id not in changes]:
            raise AwsError(
                f"EC2 did not confirm `{ask.operation}` of {', '.join(missing)}",
                operation=ask.operation,
            )
        return tuple(changes[instance_id] for instance_id in ids)

    def get_utilization_of(
        self,
        workers: Sequence[Worker],
        *,
        window: timedelta = DEFAULT_WINDOW,
        measures: Sequence[Measure] = USAGE,
        metric_data: bool = False,
    ) -> dict[str, Utilization]:
        """Return *measures* of *workers* over the last *window*, by worker id.

        With *metric_data*, a few calls are enough, which need `cloudwatch:GetMetricData`. Without
        it, or if that is refused, this makes one call per metric, many at a time.
        """
        query = partial(by_data if metric_data else by_statistics, self._aws)
        used = measure(query, workers, measures, window, self._now(), self._history)
        return {utilization.id: utilization for utilization in used}

    def permits(self, ask: Change, *, region: str | None = None) -> None:
        """Ask EC2, with a DryRun, whether *ask* is permitted; raises DeniedError if not."""
        ask.try_out(self._aws, self._region(region))

    # CML Cloud Manager's code and its documentation name these methods differently.
    list_instances = get_all_instances
    get_instance_status_checks = get_instance_status
    add_tags = update_instance_tags
    remove_tags = delete_instance_tags
    get_tags = get_instance_tags

    def _instances(self, region: str | None, **parameters: Any) -> Iterator[Worker]:
        where = self._region(region)
        for reservation in self._pages("describe_instances", "Reservations", where, **parameters):
            for raw in reservation.get("Instances", ()):
                yield worker_from(raw, where)

    def _pages(
        self, operation: str, key: str, region: str | None, **parameters: Any
    ) -> Iterable[Any]:
        return self._aws.pages("ec2", operation, key, region=self._region(region), **parameters)

    def _unknown(self, kind: str, name: str, region: str | None) -> NotFoundError:
        return NotFoundError(f"EC2 knows no {kind} `{name}` in {self._region(region)}")

    def _region(self, region: str | None) -> str:
        where = region or self._aws.region
        if where is None:
            raise InputError("no region", remedy="name one with --region or AWS_REGION")
        return where


def _filter(name: str, values: list[str]) -> dict[str, Any]:
    return {"Name": name, "Values": values}
