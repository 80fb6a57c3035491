"""Reading the files a command is given."""

from __future__ import annotations

import sys
from pathlib import Path

from cml_iam.errors import InputError
from cml_iam.policy import PolicyDocument, parse_policy


def read_text(path: Path) -> str:
    """Return the text of *path*, of standard input for `-`; raises InputError."""
    if str(path) == "-":
        return sys.stdin.read()
    try:
        return path.read_text("utf-8")
    except FileNotFoundError:
        raise InputError(f"no such file: `{path}`") from None
    except UnicodeDecodeError:
        raise InputError(f"not a text file in UTF-8: `{path}`") from None
    except OSError as error:
        raise InputError(f"cannot read `{path}`: {error.strerror}") from None


def read_policy(path: Path) -> PolicyDocument:
    """Return the policy document in *path*; raises InputError, DocumentError."""
    return parse_policy(read_text(path), str(path))
