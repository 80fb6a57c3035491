"""What the manager can do: permissions tried, refusals explained, workers measured."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final

from cml_iam.catalogue import load_catalogue
from cml_iam.check.answer import Answer, Diagnosis, State
from cml_iam.check.checks import Check
from cml_iam.check.doctor import Scene
from cml_iam.check.refusal import Deciding, why_refused
from cml_iam.engine import Request, authorization
from cml_iam.errors import AwsError, CmlIamError, DeniedError
from cml_iam.files import parse_json
from cml_iam.report import plural
from cml_iam.restrict import send_fix
from cml_iam.tag import Tag
from cml_iam.workers import (
    PROBE,
    Health,
    Image,
    Launch,
    Metric,
    Unknown,
    Verdict,
    Worker,
    list_fleet,
    tags_at_launch,
    try_permissions,
)
from cml_iam.workers import Check as Tried


def permissions(check: Check, scene: Scene, _before: Answer) -> Answer:
    """Try every permission in every region, and explain each refusal."""
    if scene.explains and scene.who.identity is None:
        message = "no working credentials to try them"
        return Answer(diagnoses=(check.diagnosis("permissions", State.UNCHECKED, message),))
    tried = [diagnosis for health in scene.health for diagnosis in _of_region(check, scene, health)]
    if scene.site and (warning := scene.site.launch_warning):
        advice = check.diagnosis("launches", State.ADVICE, warning.message, warning.remedy)
        tried.append(advice)
    return Answer(diagnoses=tuple(tried), details=scene.health)


def connection(check: Check, scene: Scene, _before: Answer) -> Answer:
    """Call only DescribeRegions, in the home region."""
    tried = try_permissions(scene.manager, (scene.home,), scene.probe, permissions=False)
    return Answer(
        diagnoses=tuple(
            check.unknown(health.region, health.failure)
            if health.failure
            else check.diagnosis(health.region, State.OK, "EC2 answers")
            for health in tried
        ),
        details=tried,
    )


def _of_region(check: Check, scene: Scene, health: Health) -> Iterator[Diagnosis]:
    if health.failure and not isinstance(health.failure, DeniedError):
        yield check.unknown(health.region, health.failure)
        return
    allowed, refused = health.having(Verdict.ALLOWED), health.having(Verdict.REFUSED)
    whole = State.OK if health.ok else State.UNCHECKED
    if refused:
        whole = State.FINDING
    message = f"{len(allowed)} of {len(health.checks)} permissions work"
    yield check.diagnosis(health.region, whole, message)
    for tried in refused:
        yield from _explained(check, scene, health, tried)
    for (detail, remedy), actions in health.untried.items():
        message = f"{', '.join(actions)}: {detail}"
        yield check.diagnosis(health.region, State.UNCHECKED, message, remedy)


def _explained(check: Check, scene: Scene, health: Health, tried: Tried) -> Iterator[Diagnosis]:
    """Name the statements that decide the request that AWS reveals, or else the probable one."""
    subject = f"{tried.action} in {health.region}"
    if not scene.explains:
        yield check.diagnosis(subject, State.FINDING, tried.detail, tried.remedy)
        return
    request = _decoded(scene, tried.error) if isinstance(tried.error, DeniedError) else None
    deciding = scene.deciding
    if not isinstance(deciding, Deciding):
        yield check.diagnosis(subject, State.FINDING, f"{tried.detail}; {deciding}", tried.remedy)
        return
    where = f"policies {deciding.where}"
    how = f"decoded, with the {where}" if request else where
    requests = (request,) if request else _supposed(scene, health, tried.action)
    for why in why_refused(requests, deciding):
        remedy = tried.remedy if tried.remedy == send_fix(scene.manager.guard) else why.remedy
        yield check.diagnosis(subject, State.FINDING, f"{why.said} [{how}]", remedy)


def _decoded(scene: Scene, denied: DeniedError) -> Request | None:
    """Return the request that AWS refused, or None if no credentials here may decode it.

    https://docs.aws.amazon.com/STS/latest/APIReference/API_DecodeAuthorizationMessage.html
    """
    if not denied.encoded:
        return None
    for aws in filter(None, (scene.aws, scene.admin)):
        with suppress(AwsError, KeyError, ValueError):
            operation = "decode_authorization_message"
            answer = aws.call("sts", operation, EncodedMessage=denied.encoded)
            return _request(parse_json(answer["DecodedMessage"])["context"])
    return None


def _request(context: dict[str, Any]) -> Request:
    keys: dict[str, str | list[str]] = {}
    for condition in context["conditions"]["items"]:
        values = [item["value"] for item in condition["values"]["items"]]
        keys[condition["key"]] = values[0] if len(values) == 1 else values
    return Request(context["action"], context["resource"], context["principal"]["arn"], keys)


def _supposed(scene: Scene, health: Health, action: str) -> tuple[Request, ...]:
    arn = scene.who.identity.arn if scene.who.identity else ""
    launch: tuple[Request, ...] = ()
    if health.launch:
        launch = launch_requests(arn, health.launch, None, health.region, scene.manager.guard)
    return supposed(action, arn, health.region, health.worker, launch)


def supposed(
    action: str, arn: str, region: str, worker: Worker | None, launch: Sequence[Request]
) -> tuple[Request, ...]:
    """Return the authorizations that AWS makes when the principal *arn* tries *action*.

    *launch* are the authorizations for RunInstances.
    """
    caller = authorization.Caller(arn)
    if action == "ec2:RunInstances":
        return tuple(launch)
    if worker is None or not load_catalogue().needs_worker(action):
        return authorization.describe(caller, action, region)
    instance = authorization.Instance(
        worker.id, region, caller.account, worker.instance_type, worker.tags, worker.zone
    )
    if action == "ec2:CreateTags":
        return authorization.use(caller, action, instance, {PROBE: "1"})
    if action == "ec2:DeleteTags":
        return authorization.use(caller, action, instance, (PROBE,))
    return authorization.use(caller, action, instance)


def launch_requests(
    arn: str, launch: Launch, image: Image | None, region: str, guard: Tag
) -> tuple[Request, ...]:
    """Return the authorizations of *launch*; an unknown image counts as the caller's own."""
    caller = authorization.Caller(arn)
    disk = launch.disk
    request = authorization.Launch(
        region=region,
        account=caller.account,
        image=authorization.Image(launch.image_id, image.owner if image else caller.account),
        instance_type=launch.instance_type,
        tags=tags_at_launch(launch, guard),
        key_name=launch.key_name or "",
        metadata_tokens="required",
        encrypted=disk.encrypted if disk else None,
    )
    if launch.subnet_id:
        request = replace(request, subnet=launch.subnet_id)
    if launch.security_group_ids:
        request = replace(request, security_groups=launch.security_group_ids)
    return authorization.launch(caller, request)


_STATES: Final = {
    Unknown.NOT_RUNNING: State.OK,
    Unknown.TOO_YOUNG: State.ADVICE,
    Unknown.THROTTLED: State.UNCHECKED,
    Unknown.NO_ANSWER: State.UNCHECKED,
    Unknown.FAILED: State.UNCHECKED,
}
"""The states of checks for these reasons; every other reason is a finding."""

_DETAILED: Final = (
    "; detailed monitoring gives a point each minute: `aws ec2 monitor-instances --instance-ids {}`"
)


def metrics(check: Check, scene: Scene, _before: Answer) -> Iterator[Diagnosis]:
    """Measure every worker, and explain each metric that is unknown."""
    if scene.who.identity is None:
        message = "no working credentials to read them"
        yield check.diagnosis("metrics", State.UNCHECKED, message)
        return
    manager, by_data = scene.manager, scene.site is not None and scene.site.grant.metric_data
    try:
        fleet = list_fleet(scene.regions, lambda region: manager.get_all_instances(region=region))
        workers = [worker for worker in fleet.workers if worker.state != "terminated"]
        used = manager.get_utilization_of(workers, metric_data=by_data)
    except CmlIamError as error:
        yield check.unknown("metrics", error)
        return
    for region, failure in sorted(fleet.failures.items()):
        yield check.unknown(region, failure, "the workers could not be listed")
    if not workers and not fleet.failures:
        yield check.diagnosis("metrics", State.OK, "there is no worker to measure")
    for worker in workers:
        for metric in (used[worker.id].cpu, used[worker.id].memory):
            yield _judged(check, worker, metric)


def _judged(check: Check, worker: Worker, metric: Metric) -> Diagnosis:
    subject = f"{metric.name} of {worker.label}"
    if metric.unknown is None:
        message = f"{metric.mean:.1f} % over {plural(metric.count, 'point')}"
        return check.diagnosis(subject, State.OK, message)
    state = _STATES.get(metric.unknown, State.FINDING)
    message = f"unknown: {metric.unknown}" + (f": {metric.detail}" if metric.detail else "")
    remedy = metric.remedy if state is not State.OK else None
    slow = metric.unknown in (Unknown.WINDOW_TOO_SHORT, Unknown.NO_DATA)
    if remedy and slow and not worker.detailed_monitoring:
        remedy += _DETAILED.format(worker.id)
    return check.diagnosis(subject, state, message, remedy)
