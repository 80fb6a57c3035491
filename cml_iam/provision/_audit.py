"""Plan the audit resources: a trail, its bucket and log group, metric filters and alarms.

https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-create-and-update-a-trail-by-using-the-aws-cli-create-trail.html
"""

from __future__ import annotations

import json
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from cml_iam.errors import InputError, NotFoundError, RefusedError
from cml_iam.policy import difference, load_policy, same_meaning
from cml_iam.provision._plan import Call, Draft, Step
from cml_iam.provision._watch import (
    alarm_parameters,
    filter_parameters,
    lost_deliveries,
    watched,
)
from cml_iam.render import audit_values, render_document

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from cml_iam.aws.port import Aws
    from cml_iam.provision._plan import Desired
    from cml_iam.provision._watch import Watch, Watched
    from cml_iam.site import Site

RETENTION: Final = 365
"""The retention of a new log group, in days."""

DELIVERY: Final = "deliver-to-logs"
"""The inline policy of the trail's role."""

OLDER_CLOCKS: Final = 2
"""After how many years the clock changes written in an alarm are renewed."""

BLOCK: Final = dict.fromkeys(
    ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), True
)
"""The settings that keep a bucket private whatever its policy says."""


def audit_steps(aws: Aws, wanted: Desired) -> Draft:
    """Return the steps that create the trail and the alarms, with warnings; only reads.

    Raises InputError without a watch, RefusedError for a bucket that serves another purpose.
    """
    if wanted.watch is None:
        raise InputError("the alarms need the working hours")
    audit = _Audit(aws, wanted.site, wanted.watch)
    steps = (*audit.bucket(), *audit.logs(), *audit.topic(), *audit.trail(), *audit.alarms())
    return Draft(steps, audit.warnings())


class _Audit:
    """Reads the current state, and returns the necessary steps."""

    def __init__(self, aws: Aws, site: Site, watch: Watch | None) -> None:
        self.aws, self.site, self.watch = aws, site, watch
        self.names = site.audit
        self.arns = audit_values(site)

    def _read(self, service: str, operation: str, **parameters: Any) -> dict[str, Any] | None:
        """Return the response, or None if the resource does not exist."""
        try:
            return self.aws.call(service, operation, region=self._region(service), **parameters)
        except NotFoundError:
            return None

    def _pages(self, service: str, operation: str, key: str, **parameters: Any) -> list[Any]:
        try:
            region = self._region(service)
            return list(self.aws.pages(service, operation, key, region=region, **parameters))
        except NotFoundError:
            return []

    def _call(self, service: str, operation: str, **parameters: Any) -> Call:
        return Call(service, operation, parameters, region=self._region(service))

    def _region(self, service: str) -> str | None:
        return None if service == "iam" else self.names.region

    # the bucket

    def bucket(self) -> Iterator[Step]:
        name = self.names.bucket
        address = {"Bucket": name, "ExpectedBucketOwner": self.site.account}
        there = self._read("s3", "get_bucket_location", **address) is not None
        if there:
            yield Step("keep", "bucket", name)
        else:
            where = {}
            if self.names.region != "us-east-1":
                where["CreateBucketConfiguration"] = {"LocationConstraint": self.names.region}
            yield Step(
                "create",
                "bucket",
                name,
                (),
                (self._call("s3", "create_bucket", Bucket=name, **where),),
            )
        block = self._read("s3", "get_public_access_block", **address) if there else None
        closed = (block or {}).get("PublicAccessBlockConfiguration") == BLOCK
        call = self._call(
            "s3", "put_public_access_block", **address, PublicAccessBlockConfiguration=BLOCK
        )
        yield _step(closed, "bucket", f"{name} closed to the public", (), call)
        versions = self._read("s3", "get_bucket_versioning", **address) if there else None
        kept = (versions or {}).get("Status") == "Enabled"
        setting = {"Status": "Enabled"}
        call = self._call("s3", "put_bucket_versioning", **address, VersioningConfiguration=setting)
        yield _step(kept, "bucket", f"{name} keeps versions", (), call)
        yield self._bucket_policy(address, there)

    def _bucket_policy(self, address: Mapping[str, str], there: bool) -> Step:
        name = self.names.bucket
        wanted = render_document(self.site, "cloudtrail-bucket")
        raw = self._read("s3", "get_bucket_policy", **address) if there else None
        live = load_policy(raw["Policy"], f"the policy of {name}") if raw else None
        if live is not None:
            ours = {statement.sid for statement in wanted.document.statements}
            others = [statement.label for statement in live.statements if statement.sid not in ours]
            if others:
                raise RefusedError(
                    f"the bucket `{name}` also serves another purpose: {', '.join(others)}",
                    remedy="use a separate bucket: set `bucket` in [audit]",
                )
        call = self._call("s3", "put_bucket_policy", **address, Policy=wanted.text)
        same = live is not None and same_meaning(live, wanted.document)
        lines = difference(live, wanted.document) if live is not None else ()
        return _step(same, "bucket", f"{name}, to which only the trail can write", lines, call)

    # the log group and the role that writes to it

    def logs(self) -> Iterator[Step]:
        name = self.names.log_group
        groups = self._pages("logs", "describe_log_groups", "logGroups", logGroupNamePrefix=name)
        live = next((group for group in groups if group["logGroupName"] == name), None)
        keep = self._call(
            "logs", "put_retention_policy", logGroupName=name, retentionInDays=RETENTION
        )
        line = f"events are kept for {RETENTION} days"
        if live is None:
            make = self._call("logs", "create_log_group", logGroupName=name)
            yield Step("create", "log group", name, (line,), (make, keep))
        elif "retentionInDays" not in live:
            yield Step("change", "log group", name, (line,), (keep,))
        else:
            yield Step("keep", "log group", name)
        yield from self._role()

    def _role(self) -> Iterator[Step]:
        name = self._role_name()
        trust = render_document(self.site, "trust-cloudtrail-to-logs")
        raw = self._read("iam", "get_role", RoleName=name)
        if raw is None:
            parameters = {"RoleName": name, "AssumeRolePolicyDocument": trust.text}
            make = self._call("iam", "create_role", **parameters)
            yield Step("create", "role", name, ("trusted by CloudTrail for this trail",), (make,))
        else:
            live = load_policy(raw["Role"]["AssumeRolePolicyDocument"], f"the trust of {name}")
            update = self._call(
                "iam", "update_assume_role_policy", RoleName=name, PolicyDocument=trust.text
            )
            lines = difference(live, trust.document)
            yield _step(same_meaning(live, trust.document), "role", name, lines, update, "change")
        yield self._delivery(name, raw is not None)

    def _delivery(self, name: str, there: bool) -> Step:
        wanted = render_document(self.site, "cloudtrail-to-logs")
        address = {"RoleName": name, "PolicyName": DELIVERY}
        raw = self._read("iam", "get_role_policy", **address) if there else None
        live = load_policy(raw["PolicyDocument"], f"{name} {DELIVERY}") if raw else None
        same = live is not None and same_meaning(live, wanted.document)
        put = self._call("iam", "put_role_policy", **address, PolicyDocument=wanted.text)
        lines = difference(live, wanted.document) if live is not None else ()
        return _step(same, "inline policy", f"{DELIVERY} of {name}", lines, put)

    def _role_name(self) -> str:
        return str(self.arns["delivery_role_arn"]).rpartition("/")[2]

    # the topic and its subscribers

    def topic(self) -> Iterator[Step]:
        arn = str(self.arns["topic_arn"])
        name = arn.rpartition(":")[2]
        there = self._read("sns", "get_topic_attributes", TopicArn=arn) is not None
        listed = (
            self._pages("sns", "list_subscriptions_by_topic", "Subscriptions", TopicArn=arn)
            if there
            else []
        )
        email = self.watch.email if self.watch else None
        lines = () if listed or email else ("the alarms notify nobody yet: use --alert-email",)
        call = self._call("sns", "create_topic", Name=name)
        yield Step("keep" if there else "create", "topic", name, lines, () if there else (call,))
        if email:
            told = any((e["Protocol"], e["Endpoint"]) == ("email", email) for e in listed)
            call = self._call("sns", "subscribe", TopicArn=arn, Protocol="email", Endpoint=email)
            line = f"{email} must confirm it by the link that AWS mails"
            yield _step(told, "subscription", f"{email} to {name}", (line,), call)

    def warnings(self) -> tuple[str, ...]:
        return (*lost_deliveries(self.status() or {}), *self._former_bucket())

    def _former_bucket(self) -> Iterator[str]:
        """Yield a warning if the trail's current bucket is not the one in the site file."""
        bucket = (self.live_trail or {}).get("S3BucketName")
        if bucket not in (None, self.names.bucket):
            yield (
                f"the bucket `{bucket}` keeps the events recorded so far, but receives no more; "
                f"from now on, cml-iam manages only `{self.names.bucket}`"
            )

    # the trail

    def status(self) -> dict[str, Any] | None:
        return self._read("cloudtrail", "get_trail_status", Name=self.arns["trail_arn"])

    @cached_property
    def live_trail(self) -> dict[str, Any] | None:
        """The existing trail, or None."""
        raw = self._read("cloudtrail", "get_trail", Name=self.arns["trail_arn"])
        return raw["Trail"] if raw else None

    def trail(self) -> Iterator[Step]:
        name, arn = self.names.trail, self.arns["trail_arn"]
        group = f"{self.arns['log_group_arn']}:*"
        wanted = {
            "S3BucketName": self.names.bucket,
            "IsMultiRegionTrail": True,
            "IncludeGlobalServiceEvents": True,
            "CloudWatchLogsLogGroupArn": group,
            "CloudWatchLogsRoleArn": self.arns["delivery_role_arn"],
        }
        live = self.live_trail
        parameters = {"Name": name, **wanted, "EnableLogFileValidation": True}
        if live is None:
            line = "all regions, with validation of log files"
            make = self._call("cloudtrail", "create_trail", **parameters)
            yield Step("create", "trail", name, (line,), (make,))
        else:
            settings = {**wanted, "LogFileValidationEnabled": True}
            lines = tuple(
                f"~ {key} {live.get(key)} → {value}"
                for key, value in settings.items()
                if live.get(key) != value
            )
            update = self._call("cloudtrail", "update_trail", **parameters)
            yield _step(not lines, "trail", name, lines, update, "change")
        if live is not None:  # a new trail records them
            yield self._events(name)
        status = self.status() if live is not None else None
        start = self._call("cloudtrail", "start_logging", Name=arn)
        yield _step(bool((status or {}).get("IsLogging")), "trail", f"{name} logs", (), start)

    def _events(self, name: str) -> Step:
        """Return the step that makes the trail log all management events, as a new trail does."""
        arn = self.arns["trail_arn"]
        raw = self._read("cloudtrail", "get_event_selectors", TrailName=arn)
        label = f"{name} records every management event"
        if raw is None or _logs_management(raw):
            return Step("keep", "trail", label)
        selector = {"ReadWriteType": "All", "IncludeManagementEvents": True}
        call = self._call(
            "cloudtrail", "put_event_selectors", TrailName=arn, EventSelectors=[selector]
        )
        return Step("change", "trail", label, (), (call,))

    # filters and alarms

    def alarms(self) -> Iterator[Step]:
        everything = watched(self.site)
        group = self.names.log_group
        listed = self._pages("logs", "describe_metric_filters", "metricFilters", logGroupName=group)
        filters = {each["filterName"]: each for each in listed}
        for each in everything:
            wanted = filter_parameters(each, group)
            live = filters.get(each.filter)
            call = self._call("logs", "put_metric_filter", **wanted)
            mark = "change" if live is not None else "create"
            same = live is not None and _within(wanted, live)
            yield _step(same, "metric filter", each.filter, (), call, mark)
        names = [each.alarm for each in everything]
        raw = self._read("cloudwatch", "describe_alarms", AlarmNames=names) or {}
        alarms = {each["AlarmName"]: each for each in raw.get("MetricAlarms", ())}
        for each in everything:
            yield self._alarm(each, alarms.get(each.alarm))

    def _alarm(self, each: Watched, live: dict[str, Any] | None) -> Step:
        assert self.watch is not None  # noqa: S101 - `audit_steps` has one
        topic, year = str(self.arns["topic_arn"]), self.watch.year
        wanted = alarm_parameters(each, self.watch, topic, year)
        if live is None:
            call = self._call("cloudwatch", "put_metric_alarm", **wanted)
            return Step("create", "alarm", each.alarm, (each.words,), (call,))
        actions = list(live.get("AlarmActions", ()))
        wanted["AlarmActions"] = [*actions, *([topic] if topic not in actions else ())]
        good = (
            {
                **alarm_parameters(each, self.watch, topic, year - age),
                "AlarmActions": wanted["AlarmActions"],
            }
            for age in range(OLDER_CLOCKS + 1)
        )
        call = self._call("cloudwatch", "put_metric_alarm", **wanted)
        same = any(_within(one, live) for one in good)
        return _step(same, "alarm", each.alarm, (each.words,), call, "change")


def _step(
    same: bool,
    resource: str,
    name: str,
    lines: tuple[str, ...],
    call: Call,
    mark: Any = "create",
) -> Step:
    return Step("keep", resource, name) if same else Step(mark, resource, name, lines, (call,))


def _logs_management(raw: Mapping[str, Any]) -> bool:
    """Return whether the selectors include all management events.

    https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_AdvancedEventSelector.html
    """
    simple, advanced = raw.get("EventSelectors") or [], raw.get("AdvancedEventSelectors") or []
    if not simple and not advanced:
        return True
    plain = any(
        each.get("IncludeManagementEvents", True)
        and each.get("ReadWriteType", "All") == "All"
        and not each.get("ExcludeManagementEventSources")
        for each in simple
    )
    return plain or any(
        [(e["Field"], e.get("Equals")) for e in each["FieldSelectors"]]
        == [("eventCategory", ["Management"])]
        for each in advanced
    )


def _within(wanted: Any, live: Any) -> bool:
    """Return whether *live* includes everything in *wanted*; AWS adds its own defaults."""
    if isinstance(wanted, dict):
        return isinstance(live, dict) and all(
            key in live and _within(value, live[key]) for key, value in wanted.items()
        )
    if isinstance(wanted, list):
        if not isinstance(live, list) or len(live) != len(wanted):
            return False
        pairs = zip(sorted(wanted, key=_order), sorted(live, key=_order), strict=True)
        return all(_within(one, other) for one, other in pairs)
    return bool(wanted == live)


def _order(value: Any) -> str:
    return str(value.get("Id", "")) if isinstance(value, dict) else json.dumps(value)
