"""The audit resources as Terraform and CloudFormation, from the same parameters as in bootstrap."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, Literal

from cml_iam.provision._audit import BLOCK, DELIVERY, RETENTION
from cml_iam.provision._watch import YEARS, alarm_parameters, filter_parameters, watched
from cml_iam.render import (
    aligned,
    anywhere,
    audit_values,
    hcl,
    hcl_document,
    pages,
    render_document,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cml_iam.provision._watch import Watch, Watched
    from cml_iam.site import Site

AuditForm = Literal["terraform", "cloudformation"]

_DOCUMENTS: Final = {
    "bucket_policy": "cloudtrail-bucket",
    "trust": "trust-cloudtrail-to-logs",
    "delivery": "cloudtrail-to-logs",
}
_HCL_NAMES: Final = {
    "AlarmName": "alarm_name",
    "AlarmDescription": "alarm_description",
    "ActionsEnabled": "actions_enabled",
    "EvaluationPeriods": "evaluation_periods",
    "Threshold": "threshold",
    "ComparisonOperator": "comparison_operator",
    "TreatMissingData": "treat_missing_data",
    "Namespace": "namespace",
    "MetricName": "metric_name",
    "Period": "period",
    "Statistic": "statistic",
    "Stat": "stat",
    "Id": "id",
    "Expression": "expression",
    "ReturnData": "return_data",
}
"""Terraform's names for the parameters of cloudwatch:PutMetricAlarm."""


def render_audit(site: Site, watch: Watch, form: AuditForm) -> str:
    """Return the trail, the resources that it needs, and the alarms in *form*; deterministic.

    After it is applied, `bootstrap plan --with audit` with the same *watch* has nothing to do.
    """
    return _FORMS[form](site, watch)


def audit_names(site: Site) -> dict[str, str]:
    """Return the names of the delivery role and the topic; the site file cannot set them."""
    arns = audit_values(site)
    return {
        "role": str(arns["delivery_role_arn"]).rpartition("/")[2],
        "topic": str(arns["topic_arn"]).rpartition(":")[2],
    }


def _terraform(site: Site, watch: Watch) -> str:
    names = site.audit
    documents = {
        key: hcl_document(render_document(site, name).document) for key, name in _DOCUMENTS.items()
    }
    values = {
        **documents,
        **audit_names(site),
        "account": site.account,
        "region": names.region,
        "bucket": names.bucket,
        "trail": names.trail,
        "log_group": names.log_group,
        "retention": RETENTION,
        "role_policy": DELIVERY,
        "email": watch.email,
        "until": _until(watch),
        "watched": [_watched_terraform(each, watch) for each in watched(site)],
    }
    return pages(hcl).get_template("terraform/audit.tf.j2").render(values)


def _until(watch: Watch) -> int | None:
    """Return the last year whose clock changes are written in the alarms, or None."""
    return watch.year + YEARS - 1 if watch.hours.zone != "UTC" else None


def _watched_terraform(each: Watched, watch: Watch) -> dict[str, Any]:
    made = filter_parameters(each, "")["metricTransformations"][0]
    alarm = alarm_parameters(each, watch, "", watch.year)
    actions = {"alarm_actions": "[aws_sns_topic.alerts.arn]"}
    return {
        "label": each.alarm.replace("-", "_"),
        "filter": each.filter,
        "pattern": each.pattern,
        "transformation": aligned(
            {
                "name": hcl(made["metricName"]),
                "namespace": hcl(made["metricNamespace"]),
                "value": hcl(made["metricValue"]),
            }
        ),
        "alarm": aligned({**_attributes(alarm), **actions}),
        "queries": [_query_terraform(query) for query in alarm.get("Metrics", ())],
    }


def _query_terraform(query: Mapping[str, Any]) -> dict[str, Any]:
    statistic = query.get("MetricStat")
    metric = {**statistic["Metric"], **statistic} if statistic else {}
    return {
        "attributes": aligned(_attributes(query)),
        "metric": aligned(_attributes(metric)) if metric else (),
    }


def _attributes(parameters: Mapping[str, Any]) -> dict[str, str]:
    return {_HCL_NAMES[key]: hcl(each) for key, each in parameters.items() if key in _HCL_NAMES}


def _cloudformation(site: Site, watch: Watch) -> str:
    resources = {**_storage(site), **_logging(site), **_telling(site, watch)}
    for each in watched(site):
        resources |= _watched_cloudformation(each, watch)
    until = _until(watch)
    clock = f" Clock changes are included until the end of {until}." if until else ""
    template = {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": (
            "The trail that watches CML Cloud Manager, and its alarms. Written by cml-iam for "
            f"account {site.account} in {site.audit.region}.{clock}"
        ),
        "Resources": resources,
        "Outputs": {
            "TrailArn": {"Value": _attribute("Trail", "Arn")},
            "TopicArn": {"Value": {"Ref": "Topic"}},
        },
    }
    return json.dumps(template, indent=2) + "\n"


def _document(site: Site, key: str) -> Any:
    text = render_document(site, _DOCUMENTS[key]).text
    return anywhere(json.loads(text), site, site.audit.region)


def _storage(site: Site) -> dict[str, Any]:
    bucket = {
        "BucketName": site.audit.bucket,
        "PublicAccessBlockConfiguration": BLOCK,
        "VersioningConfiguration": {"Status": "Enabled"},
    }
    policy = {"Bucket": {"Ref": "Bucket"}, "PolicyDocument": _document(site, "bucket_policy")}
    return {
        "Bucket": _kept("AWS::S3::Bucket", bucket),
        "BucketPolicy": _kept("AWS::S3::BucketPolicy", policy),
    }


def _logging(site: Site) -> dict[str, Any]:
    names = site.audit
    group = {"LogGroupName": names.log_group, "RetentionInDays": RETENTION}
    role = {
        "RoleName": audit_names(site)["role"],
        "AssumeRolePolicyDocument": _document(site, "trust"),
        "Policies": [{"PolicyName": DELIVERY, "PolicyDocument": _document(site, "delivery")}],
    }
    trail = {
        "TrailName": names.trail,
        "S3BucketName": {"Ref": "Bucket"},
        "IsLogging": True,
        "IsMultiRegionTrail": True,
        "IncludeGlobalServiceEvents": True,
        "EnableLogFileValidation": True,
        "CloudWatchLogsLogGroupArn": _attribute("LogGroup", "Arn"),
        "CloudWatchLogsRoleArn": _attribute("DeliveryRole", "Arn"),
    }
    return {
        "LogGroup": _kept("AWS::Logs::LogGroup", group),
        "DeliveryRole": {"Type": "AWS::IAM::Role", "Properties": role},
        "Trail": {**_kept("AWS::CloudTrail::Trail", trail), "DependsOn": ["BucketPolicy"]},
    }


def _telling(site: Site, watch: Watch) -> dict[str, Any]:
    topic = {"Type": "AWS::SNS::Topic", "Properties": {"TopicName": audit_names(site)["topic"]}}
    if not watch.email:
        return {"Topic": topic}
    to = {"TopicArn": {"Ref": "Topic"}, "Protocol": "email", "Endpoint": watch.email}
    return {"Topic": topic, "Subscription": {"Type": "AWS::SNS::Subscription", "Properties": to}}


def _watched_cloudformation(each: Watched, watch: Watch) -> dict[str, Any]:
    pattern = filter_parameters(each, "")
    properties = {
        "FilterName": each.filter,
        "LogGroupName": {"Ref": "LogGroup"},
        "FilterPattern": each.pattern,
        "MetricTransformations": [
            {key[0].upper() + key[1:]: value for key, value in made.items()}
            for made in pattern["metricTransformations"]
        ],
    }
    alarm = alarm_parameters(each, watch, "", watch.year) | {"AlarmActions": [{"Ref": "Topic"}]}
    return {
        f"{each.filter}Filter": {"Type": "AWS::Logs::MetricFilter", "Properties": properties},
        f"{each.filter}Alarm": {"Type": "AWS::CloudWatch::Alarm", "Properties": alarm},
    }


def _kept(kind: str, properties: Mapping[str, Any]) -> dict[str, Any]:
    """Return a resource that is kept when its stack is deleted, because it holds evidence."""
    keep = dict.fromkeys(("DeletionPolicy", "UpdateReplacePolicy"), "Retain")
    return {"Type": kind, **keep, "Properties": properties}


def _attribute(resource: str, name: str) -> dict[str, list[str]]:
    return {"Fn::GetAtt": [resource, name]}


_FORMS: Final[dict[AuditForm, Callable[[Site, Watch], str]]] = {
    "terraform": _terraform,
    "cloudformation": _cloudformation,
}
