"""The files an audit is given: policies, Markdown with policies in it, and texts with secrets."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from cml_iam.errors import InputError
from cml_iam.render import DOCUMENTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from cml_iam.lint import Kind
    from cml_iam.site import Site

TEXTS: Final = frozenset(
    {".md", ".env", ".txt", ".toml", ".ini", ".cfg", ".yaml", ".yml", ".sh", ".tf", ".tfvars", ""}
)
"""Suffixes of the files of a folder that are looked through for secrets, beside .json."""

PASSED_OVER: Final = frozenset({".git", ".venv", "node_modules", "__pycache__", ".terraform"})
MOST_BYTES: Final = 1_000_000
"""A file of a folder that is longer is no text somebody wrote."""

_BLOCK: Final = re.compile(r"^([ \t]*)```json[^\n]*\n(.*?)^\1```", re.MULTILINE | re.DOTALL)
_OPENED, _CLOSED = '{"Version": "2012-10-17", "Statement": [', "]}"
_PART: Final = re.compile(r"(.+)-[0-9]+")


@dataclass(frozen=True, slots=True)
class Given:
    """A file: its *name* as given, its *text*, and the *sha256* of its bytes."""

    name: str
    text: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy in a file: *text* has it where it stands there; *role* is what the site calls it.

    *role* is a name of `render.DOCUMENTS`, `policy` for what carries the name of the site's policy,
    or None. *snippet* says that a statement alone stands there; *shift* is how many columns further
    the first line begins in *text* than in the file.
    """

    name: str
    text: str
    kind: Kind
    role: str | None
    snippet: bool = False
    shift: int = 0


def read_given(paths: Iterable[Path]) -> tuple[Given, ...]:
    """Read *paths*, files and folders; raises InputError for what cannot be read.

    Of a folder every .json file is read and every text in which a secret could stand, whatever the
    depth.
    """
    read: dict[str, Given] = {}
    for path in paths:
        found = sorted(_files(path)) if path.is_dir() else [path]
        for each in found:
            given = _given(each, must=each is path)
            if given is not None:
                read.setdefault(str(each), given)
    return tuple(read.values())


def policies_in(given: Given, site: Site | None, *, alone: bool) -> tuple[Policy, ...]:
    """Return the policies of a file; of one that is not *alone*, JSON that is none is passed over.

    In Markdown each block of JSON is one. A statement alone, in a block or a file, is read as a
    policy with this statement: that is how snippets are handed on.
    """
    if given.name.endswith((".md", ".markdown")):
        return tuple(_blocks(given))
    if not given.name.endswith(".json"):
        return ()
    value = _value(given.text)
    role = _role(Path(given.name).stem, site)
    if role is None and _is_statement(value):
        text = f"{_OPENED}{given.text}{_CLOSED}"
        return (Policy(given.name, text, _kind(value, None), None, True, len(_OPENED)),)
    if not alone and value is not None and not _looks_like_policy(value):
        return ()
    return (Policy(given.name, given.text, _kind(value, role), role),)


def _files(folder: Path) -> Iterator[Path]:
    for path in folder.iterdir():
        if path.is_symlink() or path.name in PASSED_OVER:
            continue
        if path.is_dir():
            yield from _files(path)
        elif path.suffix == ".json" or (_is_text(path) and path.stat().st_size <= MOST_BYTES):
            yield path


def _is_text(path: Path) -> bool:
    return path.suffix in TEXTS or path.name.startswith(".env")


def _given(path: Path, *, must: bool) -> Given | None:
    """Return the file; None for one that is no text, where it was not asked for by name."""
    try:
        data = path.read_bytes()
        return Given(str(path), data.decode("utf-8"), hashlib.sha256(data).hexdigest())
    except FileNotFoundError:
        raise InputError(f"no such file: `{path}`") from None
    except UnicodeDecodeError as error:
        if not must and path.suffix != ".json":
            return None
        raise InputError(f"`{path}` is not UTF-8 text (byte {error.start})") from None
    except OSError as error:
        raise InputError(f"cannot read `{path}`: {error.strerror}") from None


def _blocks(given: Given) -> Iterator[Policy]:
    for match in _BLOCK.finditer(given.text):
        value = _value(match[2])
        if not isinstance(value, dict):
            continue
        # The lines before keep their number, so that places are those in the file.
        before = "\n" * (given.text.count("\n", 0, match.start(2)) - 1)
        if _is_statement(value):
            text = f"{before}{_OPENED}\n{match[2]}{_CLOSED}"
            yield Policy(given.name, text, _kind(value, None), None, snippet=True)
        elif _looks_like_policy(value):
            yield Policy(given.name, f"{before}\n{match[2]}", _kind(value, None), None)


def _value(text: str) -> Any:
    """Return the JSON of *text*, None where it is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _is_statement(value: Any) -> bool:
    return isinstance(value, dict) and "Effect" in value and "Statement" not in value


def _looks_like_policy(value: Any) -> bool:
    return isinstance(value, dict) and (
        "Statement" in value or value.get("Version") in ("2012-10-17", "2008-10-17")
    )


def _kind(value: Any, role: str | None) -> Kind:
    """Return what a policy is for: by its name, else by whether it says who it is about."""
    if role in DOCUMENTS:
        return DOCUMENTS[role].kind
    statements = value.get("Statement", value) if isinstance(value, dict) else ()
    listed = [statements] if isinstance(statements, dict) else statements
    named = [
        each
        for each in (listed if isinstance(listed, list) else ())
        if isinstance(each, dict) and not each.keys().isdisjoint(("Principal", "NotPrincipal"))
    ]
    if not named:
        return "identity"
    actions = [str(each.get("Action", "")).lower() for each in named]
    return "trust" if any("sts:assume" in each for each in actions) else "resource"


def _role(stem: str, site: Site | None) -> str | None:
    match = _PART.fullmatch(stem)
    for name in (stem, match[1] if match else stem):
        if name in DOCUMENTS:
            return name
        if site is not None:
            named = {site.policy: "policy", site.boundary: "boundary", site.guard: "guard"}
            if name in named:
                return named[name]
    return None
