"""The principal and its policy: planned by reading, applied step by step, repeatable."""

from cml_iam.provision._bootstrap import apply_plan, check_account, plan_bootstrap
from cml_iam.provision._diff import difference
from cml_iam.provision._plan import Applied, Call, Plan, Step, Wanted
from cml_iam.provision._show import plan_data, plan_lines, step_data, step_lines, summary
from cml_iam.provision._status import KeyStatus, Status, key_data, read_status

__all__ = [
    "Applied",
    "Call",
    "KeyStatus",
    "Plan",
    "Status",
    "Step",
    "Wanted",
    "apply_plan",
    "check_account",
    "difference",
    "key_data",
    "plan_bootstrap",
    "plan_data",
    "plan_lines",
    "read_status",
    "step_data",
    "step_lines",
    "summary",
]
