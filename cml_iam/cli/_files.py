"""Reading the files a command is given."""

from __future__ import annotations

import sys
from pathlib import Path

from cml_iam.files import regular_text
from cml_iam.policy import PolicyDocument, parse_policy


def read_text(path: Path) -> str:
    """Return the text of *path*, of standard input for `-`; raises InputError."""
    if str(path) == "-":
        return sys.stdin.read()
    return regular_text(path)


def read_policy(path: Path) -> PolicyDocument:
    """Return the policy document in *path*; raises InputError, DocumentError."""
    return parse_policy(read_text(path), str(path))
