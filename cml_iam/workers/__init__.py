"""The worker manager: EC2 instances that run CML, their life, tags, metrics and health."""

from cml_iam.workers._health import Check, Health, Verdict, health_lines, log_health
from cml_iam.workers._launch import Disk, Launch
from cml_iam.workers._manager import WorkerManager
from cml_iam.workers._metrics import Metric, Point, Unknown, Utilization
from cml_iam.workers._model import Image, InstanceStatus, ScheduledEvent, StateChange, Worker
from cml_iam.workers._tags import DEFAULT_GUARD, GuardTag

__all__ = [
    "DEFAULT_GUARD",
    "Check",
    "Disk",
    "GuardTag",
    "Health",
    "Image",
    "InstanceStatus",
    "Launch",
    "Metric",
    "Point",
    "ScheduledEvent",
    "StateChange",
    "Unknown",
    "Utilization",
    "Verdict",
    "Worker",
    "WorkerManager",
    "health_lines",
    "log_health",
]
