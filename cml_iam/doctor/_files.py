"""The files that hold credentials: whether others may read them, and whether they say what is used.

Nothing of a secret is said but that it is there and well formed.
"""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cml_iam.credentials import variables
from cml_iam.doctor._model import Area, Diagnosis, Scene, State, Who
from cml_iam.errors import InputError
from cml_iam.files import regular_text

if TYPE_CHECKING:
    from collections.abc import Iterator

_AREA = Area.FILES
_ID, _SECRET = "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"
_ID_FORM: Final = re.compile(r"(AKIA|ASIA)[A-Z2-7]{16}")
_SECRET_FORM: Final = re.compile(r"[A-Za-z0-9/+]{40}")
_EXAMPLE: Final = "AKIAIOSFODNN7EXAMPLE"
_DELIVER: Final = "write a working key into it: `cml-iam key deliver --to env:{path}`"


def files(scene: Scene, who: Who) -> Iterator[Diagnosis]:
    """Look at the `.env` and at AWS's own files."""
    yield from _env_file(scene.env_file, who)
    for variable, default in (
        ("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials"),
        ("AWS_CONFIG_FILE", "~/.aws/config"),
    ):
        path = Path(os.environ.get(variable) or default).expanduser()
        if path.is_file():
            yield _privacy(path)


def _privacy(path: Path) -> Diagnosis:
    """Say whether others than the owner may read *path*."""
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        said = f"open to others ({mode:04o})"
        return Diagnosis(_AREA, str(path), State.FINDING, said, f"chmod 600 {path}")
    return Diagnosis(_AREA, str(path), State.OK, f"private ({mode:04o})")


def _env_file(path: Path, who: Who) -> Iterator[Diagnosis]:
    if not path.is_file():
        said = "there is none here"
        yield Diagnosis(_AREA, str(path), State.OK, said)
        return
    yield _privacy(path)
    try:
        found = variables(regular_text(path))
    except InputError as error:
        yield Diagnosis(_AREA, str(path), State.UNCHECKED, error.message)
        return
    yield from _pair(path, found, who)


def _pair(path: Path, found: dict[str, str], who: Who) -> Iterator[Diagnosis]:
    key_id, secret = found.get(_ID, ""), found.get(_SECRET, "")
    remedy = _DELIVER.format(path=path)
    wrong = [
        *([f"{name} is not set" for name in (_ID, _SECRET) if not found.get(name)]),
        *([f"{_ID} is the documentation's example"] if key_id == _EXAMPLE else []),
        *([f"{_ID} is not formed like a key id"] if key_id and not _is_id(key_id) else []),
        *([_malformed(secret)] if secret and not _SECRET_FORM.fullmatch(secret) else []),
    ]
    for said in wrong:
        yield Diagnosis(_AREA, str(path), State.FINDING, said, remedy)
    if wrong:
        return
    used = who.source.key_id if who.source else None
    if used is not None and used != key_id:
        said = f"holds the key `{key_id}`; in use is `{used}` from {who.source and who.source.said}"
        told = "load the file (`set -a; . ./.env`), or name its key in the profile"
        yield Diagnosis(_AREA, str(path), State.ADVICE, said, told)
    else:
        yield Diagnosis(_AREA, str(path), State.OK, f"holds the key `{key_id}`")


def _is_id(text: str) -> bool:
    return text == _EXAMPLE or _ID_FORM.fullmatch(text) is not None


def _malformed(secret: str) -> str:
    if secret != secret.strip() or " " in secret:
        return f"{_SECRET} has blanks in it"
    return f"{_SECRET} has {len(secret)} characters, where a secret has 40 letters, digits, / and +"
