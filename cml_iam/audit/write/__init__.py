"""The audit report in the formats that people and machines read.

text = write_report(report, form_of("report.sarif"))
since = compare_reports(report, read_report(earlier, "earlier.json"))
"""

from cml_iam.audit.write._forms import FORMS, Form, form_of, write_report
from cml_iam.audit.write._json import compare_reports, read_report

__all__ = [
    "FORMS",
    "Form",
    "compare_reports",
    "form_of",
    "read_report",
    "write_report",
]
