"""The audit resources as Terraform and CloudFormation, from the same parameters as in bootstrap."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, Literal

from cml_iam.provision._watch import (
    BLOCK,
    DELIVERY,
    NAMESPACE,
    RETENTION,
    YEARS,
    alarm_parameters,
    watched,
)
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

    from cml_iam.provision._watch import Watch
    from cml_iam.site import Site

AuditForm = Literal["terraform", "cloudformation"]

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
    return _terraform(site, watch) if form == "terraform" else _cloudformation(site, watch)


def _terraform(site: Site, watch: Watch) -> str:
    def document(name: str) -> list[dict[str, Any]]:
        return hcl_document(render_document(site, name).document)

    values = {
        **_values(site, watch, document),
        "account": site.account,
        "region": site.audit.region,
        "alarm": lambda row: alarm_parameters(row, watch.hours, watch.year, []),
        "lines": _lines,
    }
    return pages(hcl).get_template("terraform/audit.tf.j2").render(values)


def _lines(parameters: Mapping[str, Any], **more: str) -> list[str]:
    """Return *parameters* as attributes in HCL, and *more* of them, which already are."""
    known = {_HCL_NAMES[key]: hcl(value) for key, value in parameters.items() if key in _HCL_NAMES}
    return aligned({**known, **more})


def _cloudformation(site: Site, watch: Watch) -> str:
    def document(name: str) -> Any:
        return anywhere(json.loads(render_document(site, name).text), site, site.audit.region)

    values = _values(site, watch, document)
    until = values["until"]
    clock = f" Clock changes are included until the end of {until}." if until else ""
    values |= {
        "description": (
            "The trail that watches CML Cloud Manager, and its alarms. Written by cml-iam for "
            f"account {site.account} in {site.audit.region}.{clock}"
        ),
        "block": BLOCK,
        "alarm": lambda row: alarm_parameters(row, watch.hours, watch.year, [{"Ref": "Topic"}]),
    }
    text = pages(json.dumps).get_template("cloudformation/audit.json.j2").render(values)
    return json.dumps(json.loads(text), indent=2) + "\n"


def _values(site: Site, watch: Watch, document: Callable[[str], Any]) -> dict[str, Any]:
    """Return the values of both forms; *document* writes a policy in the form's language."""
    arns = audit_values(site)
    return {
        "bucket_policy": document("cloudtrail-bucket"),
        "trust": document("trust-cloudtrail-to-logs"),
        "delivery": document("cloudtrail-to-logs"),
        # The site file cannot set the names of the role and the topic.
        "role": arns["delivery_role_arn"].rpartition("/")[2],
        "topic": arns["topic_arn"].rpartition(":")[2],
        "bucket": site.audit.bucket,
        "trail": site.audit.trail,
        "log_group": site.audit.log_group,
        "retention": RETENTION,
        "role_policy": DELIVERY,
        "email": watch.email,
        # The last year whose clock changes are in the alarms.
        "until": watch.year + YEARS - 1 if watch.hours.zone != "UTC" else None,
        "watched": watched(site),
        "namespace": NAMESPACE,
    }
