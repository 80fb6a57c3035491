"""The documents that rules are tested with: the shipped examples, and further cases.

`cml_iam/lint/examples/ID-bad.json` is what `policy rules ID` prints; `cases/ID-NAME` has more of
them. `bad.kind.json` is judged as a policy of that kind, others as identity policies.
"""

from __future__ import annotations

from pathlib import Path

import cml_iam.lint
from cml_iam.lint import KINDS

CASES = Path(__file__).parent / "cases"
EXAMPLES = Path(cml_iam.lint.__file__).parent / "examples"


def documents(which: str) -> list[Path]:
    """Return the documents that are *which*: `bad` or `good`."""
    return [*sorted(EXAMPLES.glob(f"*-{which}*.json")), *sorted(CASES.glob(f"*/{which}*.json"))]


def rule_of(path: Path) -> str:
    """Return the id of the rule that the document is for."""
    return (path.name if path.parent == EXAMPLES else path.parent.name).partition("-")[0]


def kind_of(path: Path) -> str:
    """Return the kind of policy that the document is."""
    parts = path.name.split(".")
    kind = parts[1] if len(parts) == 3 else "identity"
    assert kind in KINDS
    return kind
