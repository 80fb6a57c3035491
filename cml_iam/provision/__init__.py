"""Create the principal and its policy: plan with reads only, then apply in repeatable steps."""

from typing import TYPE_CHECKING

from cml_iam.clock import Hours, parse_hours
from cml_iam.later import later

if TYPE_CHECKING:
    from cml_iam.provision._apply import foresee
    from cml_iam.provision._bootstrap import (
        apply_plan,
        plan_adoption,
        plan_bootstrap,
        plan_destruction,
        plan_rollback,
    )
    from cml_iam.provision._plan import (
        PRINCIPAL,
        Piece,
        Plan,
        SavedPlan,
        check_fresh,
        load_plan,
        plan_data,
        plan_lines,
        save_plan,
        step_data,
        steps_lines,
        summary,
    )
    from cml_iam.provision._watch import AuditForm, Watch, lost_deliveries, render_audit, watched

__getattr__ = later(__name__)
