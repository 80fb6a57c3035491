"""The page docs/failures.md: what commands answer where AWS does not, or does not accept a key.

Write it anew with `python -m tests.harness_answers`.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Final

from tests.harness_answers import credentials, endpoint
from tests.harness_answers.harness import Ended, against, prepare

PAGE: Final = Path(__file__).parents[2] / "docs" / "failures.md"
COMMAND: Final = "worker images"
"""The command whose words are shown: it asks one question in one region."""

_HEAD: Final = """# When AWS does not answer, or does not accept the credential

Tests run every command that calls AWS against each row of both tables. No command reports success,
and none ends with an internal error. This page is generated: `python -m tests.harness_answers`.

| | exit code | exceptions |
|---|---|---|
| the server is not AWS, or its answer does not end | 5 | `doctor`: 3, `serve`: HTTP 503 |
| the credential cannot work | 4 | `doctor`: 3, `serve`: HTTP 503 |
| the credential belongs to an account other than the site file's | 2 | `doctor`: 3 |

An answer may have up to 32 MiB. The time from connecting to the last byte may be up to twice the
read timeout: 60 s, or 2.8 s when `serve` checks whether EC2 answers. The rows below show smaller
limits, so that the tests finish quickly. cml-iam retries after a broken connection, a timeout or a
server error (HTTP 5xx), with up to five attempts in all. It does not retry after any other error.
"""


def page() -> str:
    """Return the whole page, made by running every row."""
    parts = [_HEAD, "## What is not AWS\n", "| answer | message |\n|---|---|"]
    parts += [_row(kind, _answered(kind)) for kind in endpoint.KINDS]
    parts += ["\n## Credentials that cannot work\n", "| credential | message |\n|---|---|"]
    parts += [_row(kind, _signed(kind)) for kind in credentials.KINDS]
    return "\n".join(parts) + "\n"


def _answered(kind: str) -> Ended:
    with tempfile.TemporaryDirectory() as folder:
        prepare(Path(folder))
        return against(endpoint.KINDS[kind], Path(folder), COMMAND, credentials.good())[0]


def _signed(kind: str) -> Ended:
    with tempfile.TemporaryDirectory() as folder:
        prepare(Path(folder))
        given = credentials.KINDS[kind](Path(folder))
        return against(endpoint.KINDS["204"], Path(folder), COMMAND, given)[0]


def _row(kind: str, ended: Ended) -> str:
    told = ended.err[ended.err.index("error:") :]
    lines = [line.strip() for line in told.splitlines() if line.strip()]
    words = "<br>".join(line.replace("|", "\\|").replace("<", "&lt;") for line in lines)
    return f"| {kind} | {words} |"
