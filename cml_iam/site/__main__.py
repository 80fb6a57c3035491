"""`python -m cml_iam.site` writes `[restrict]` and `[grant]` of the schema from the rows."""

from __future__ import annotations

import json

from cml_iam.files import shipped
from cml_iam.restrict import GRANTED, RESTRICTED

NAME = "site.schema.json"


def site_schema(text: str) -> str:
    """Return the schema *text* with the current options of the rows."""
    schema = json.loads(text)
    for section, rows in (("restrict", RESTRICTED), ("grant", GRANTED)):
        options = {option.name: option.schema for row in rows for option in row.options}
        schema["properties"][section]["properties"] = options
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    path = shipped("policies") / NAME
    path.write_text(site_schema(path.read_text("utf-8")), "utf-8")
