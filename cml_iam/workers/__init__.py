"""The worker manager: EC2 instances that run CML, their lifecycle, tags, metrics and health."""

from typing import TYPE_CHECKING

from cml_iam.later import later

if TYPE_CHECKING:
    from cml_iam.workers._async import AsyncWorkerManager
    from cml_iam.workers._changes import (
        Change,
        Disk,
        Launch,
        adopt_change,
        check_name,
        launch_change,
        operate_change,
        start_change,
        stop_change,
        tag_change,
        tags_at_launch,
        terminate_change,
        untag_change,
    )
    from cml_iam.workers._cml import Activity, CmlAccess, CmlAnswer, cml_activity
    from cml_iam.workers._create import Patience, PendingLaunches, create_worker
    from cml_iam.workers._fleet import (
        NAMESAKES,
        Frame,
        Listing,
        Outcome,
        act,
        find_workers,
        list_fleet,
        statuses,
        try_permissions,
        watch,
    )
    from cml_iam.workers._health import (
        PROBE,
        Check,
        Health,
        Verdict,
        health_json,
        health_lines,
        log_health,
    )
    from cml_iam.workers._idle import Judged, Use, check_rules, find_idle, risk_of_stopping
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
        DEFAULT_TIMEOUT,
        Goal,
        Image,
        InstanceStatus,
        ScheduledEvent,
        Worker,
        is_image_id,
    )
    from cml_iam.workers._monitor import Monitor, Report, Watched
    from cml_iam.workers._site_workers import (
        Orphan,
        Placement,
        check_adoption,
        find_orphans,
        image_owners,
        launch_to_try,
        newest_image,
        placements,
        profile_image,
        profile_launch,
        root_disk,
    )
    from cml_iam.workers._wait import Waited, wait_for

__getattr__ = later(__name__)
