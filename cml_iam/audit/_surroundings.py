"""What watches the manager: the trail and the alarms."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cml_iam.audit._asking import Question
from cml_iam.audit._part import Part, found
from cml_iam.audit._report import Spot
from cml_iam.provision import alarm_problems, trail_problems
from cml_iam.render import audit_values

if TYPE_CHECKING:
    from cml_iam.aws.port import Aws
    from cml_iam.site import Site

TRAIL: Final = Question("trail", "CloudTrail records what the manager does", "surroundings")
ALARMS: Final = Question("alarms", "Alarms on the manager's doings can go off", "surroundings")


def trail_of(aws: Aws, site: Site, account: str) -> Part:
    """Return what keeps the trail from logging: one finding, one call."""
    arn = str(audit_values(site)["trail_arn"])
    problems = trail_problems(aws, site)
    spot = Spot(resource=arn, account=account)
    findings = (found("CML821", "; ".join(problems), spot, TRAIL.id),) if problems else ()
    detail = "; ".join(problems) or f"{site.audit.trail} is logging"
    return Part(checks=(TRAIL.passed(account, 1, detail),), findings=findings)


def alarms_of(aws: Aws, site: Site, account: str) -> Part:
    """Return what keeps alarms from going off: one finding, two calls."""
    problems = alarm_problems(aws, site)
    spot = Spot(resource=str(audit_values(site)["log_group_arn"]), account=account)
    findings = (found("CML822", "; ".join(problems), spot, ALARMS.id),) if problems else ()
    detail = f"{len(problems)} of them cannot" if problems else "all there"
    return Part(checks=(ALARMS.passed(account, 1, detail),), findings=findings)
