"""The worker manager: EC2 instances that run CML, their life, tags, metrics and health."""

from cml_iam.workers._asks import (
    Ask,
    launch_ask,
    start_ask,
    stop_ask,
    tag_ask,
    terminate_ask,
    untag_ask,
)
from cml_iam.workers._create import Patience, Place, create_worker, places, profile_launch
from cml_iam.workers._fleet import (
    Listing,
    Outcome,
    act,
    find_workers,
    list_fleet,
    statuses,
)
from cml_iam.workers._health import (
    PROBE,
    Check,
    Health,
    Verdict,
    granting,
    health_lines,
    log_health,
)
from cml_iam.workers._launch import Disk, Launch
from cml_iam.workers._manager import WorkerManager
from cml_iam.workers._metric import (
    EVERY,
    NOT_ASKED,
    USAGE,
    Measure,
    Metric,
    Point,
    Unknown,
    Utilization,
)
from cml_iam.workers._model import (
    Image,
    InstanceStatus,
    ScheduledEvent,
    StateChange,
    Worker,
    is_image_id,
)
from cml_iam.workers._monitor import Monitor, Report
from cml_iam.workers._pending import PendingLaunch, PendingLaunches
from cml_iam.workers._tags import DEFAULT_GUARD, GuardTag
from cml_iam.workers._wait import DEFAULT_TIMEOUT, Goal, Waited, wait_for

__all__ = [
    "DEFAULT_GUARD",
    "DEFAULT_TIMEOUT",
    "EVERY",
    "NOT_ASKED",
    "PROBE",
    "USAGE",
    "Ask",
    "Check",
    "Disk",
    "Goal",
    "GuardTag",
    "Health",
    "Image",
    "InstanceStatus",
    "Launch",
    "Listing",
    "Measure",
    "Metric",
    "Monitor",
    "Outcome",
    "Patience",
    "PendingLaunch",
    "PendingLaunches",
    "Place",
    "Point",
    "Report",
    "ScheduledEvent",
    "StateChange",
    "Unknown",
    "Utilization",
    "Verdict",
    "Waited",
    "Worker",
    "WorkerManager",
    "act",
    "create_worker",
    "find_workers",
    "granting",
    "health_lines",
    "is_image_id",
    "launch_ask",
    "list_fleet",
    "log_health",
    "places",
    "profile_launch",
    "start_ask",
    "statuses",
    "stop_ask",
    "tag_ask",
    "terminate_ask",
    "untag_ask",
    "wait_for",
]
