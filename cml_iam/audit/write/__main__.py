"""Print the JSON Schema of the report: `python -m cml_iam.audit.write`."""

from __future__ import annotations

import json
import sys

from cml_iam.audit.write._schema import report_schema

sys.stdout.write(json.dumps(report_schema(), indent=2) + "\n")
