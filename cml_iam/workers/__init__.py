"""The worker manager: EC2 instances that run CML, their life, tags, metrics and health."""

from cml_iam.workers._activity import Activity, CmlLogin, cml_activity
from cml_iam.workers._asks import (
    Ask,
    adopt_ask,
    launch_ask,
    operate_ask,
    start_ask,
    stop_ask,
    tag_ask,
    terminate_ask,
    untag_ask,
)
from cml_iam.workers._async import AsyncWorkerManager
from cml_iam.workers._cml import CmlAccess, CmlAnswer
from cml_iam.workers._create import (
    Patience,
    Place,
    create_worker,
    places,
    profile_launch,
    root_disk,
)
from cml_iam.workers._fleet import (
    NAMESAKES,
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
    fleet_lines,
    health_lines,
    log_health,
)
from cml_iam.workers._hold import held, risk_of_stopping
from cml_iam.workers._idle import Evidence, Judged, Use, check_rules, find_idle
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
from cml_iam.workers._monitor import Monitor, Report, Watched
from cml_iam.workers._orphans import Looks, Orphan, check_adoption, find_orphans, looks_of
from cml_iam.workers._pending import PendingLaunch, PendingLaunches
from cml_iam.workers._tags import DEFAULT_GUARD, GuardTag, check_name, guard_of
from cml_iam.workers._threads import in_threads
from cml_iam.workers._wait import DEFAULT_TIMEOUT, Goal, Waited, wait_for
from cml_iam.workers._watch import Frame, Watch

__all__ = [
    "DEFAULT_GUARD",
    "DEFAULT_TIMEOUT",
    "EVERY",
    "NAMESAKES",
    "NOT_ASKED",
    "PROBE",
    "USAGE",
    "Activity",
    "Ask",
    "AsyncWorkerManager",
    "Check",
    "CmlAccess",
    "CmlAnswer",
    "CmlLogin",
    "Disk",
    "Evidence",
    "Frame",
    "Goal",
    "GuardTag",
    "Health",
    "Image",
    "InstanceStatus",
    "Judged",
    "Launch",
    "Listing",
    "Looks",
    "Measure",
    "Metric",
    "Monitor",
    "Orphan",
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
    "Use",
    "Utilization",
    "Verdict",
    "Waited",
    "Watch",
    "Watched",
    "Worker",
    "WorkerManager",
    "act",
    "adopt_ask",
    "check_adoption",
    "check_name",
    "check_rules",
    "cml_activity",
    "create_worker",
    "find_idle",
    "find_orphans",
    "find_workers",
    "fleet_lines",
    "guard_of",
    "health_lines",
    "held",
    "in_threads",
    "is_image_id",
    "launch_ask",
    "list_fleet",
    "log_health",
    "looks_of",
    "operate_ask",
    "places",
    "profile_launch",
    "risk_of_stopping",
    "root_disk",
    "start_ask",
    "statuses",
    "stop_ask",
    "tag_ask",
    "terminate_ask",
    "untag_ask",
    "wait_for",
]
