"""What is so: one list of checks, each asked of files, an account, or this machine.

A check asks one question and answers passed, with findings, or not checked. `CHECKS` has them all;
a command selects some, and lays their answers out:

    audit           documents.audit_documents, account.audit_account; report.make_report
    doctor          doctor.examine
    health          manager.try_permissions
    policy verify   verify.verify_offline, verify.verify_live
    bootstrap       standing.read_status, standing.read_drift

Nothing is imported here but the list: what speaks to AWS is loaded by who asks it.
"""

from cml_iam.check._answer import Answer, Diagnosis, State
from cml_iam.check._check import Check
from cml_iam.check._list import CHECKS, DOCTOR, SKIPPABLE, check_named

__all__ = ["CHECKS", "DOCTOR", "SKIPPABLE", "Answer", "Check", "Diagnosis", "State", "check_named"]
