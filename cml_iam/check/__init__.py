"""The list of checks, each on files, an account, or this machine.

A check answers one question with passed, findings, or not checked. `CHECKS` lists all checks; a
command selects some and presents their answers:

    audit           documents.audit_documents, account.audit_account; report.make_report
    doctor          doctor.examine
    health          connection or permissions, asked of a doctor.Scene
    policy verify   expectations, asked of a documents.PoliciesScene; with --live simulation
    bootstrap       status or differences, asked of a bootstrap.BootstrapScene

Only the list is imported here; modules that call AWS are loaded when they are needed.
"""

from cml_iam.check._answer import Answer, Diagnosis, Drift, KeyStatus, State, Status
from cml_iam.check._check import Check, ask
from cml_iam.check._list import CHECKS, DOCTOR, SKIPPABLE, check_named

__all__ = [
    "CHECKS",
    "DOCTOR",
    "SKIPPABLE",
    "Answer",
    "Check",
    "Diagnosis",
    "Drift",
    "KeyStatus",
    "State",
    "Status",
    "ask",
    "check_named",
]
