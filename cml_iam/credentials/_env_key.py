"""The key in a file of environment variables, for a command that works with it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from cml_iam.credentials import _dotenv
from cml_iam.credentials._file_store import known_key
from cml_iam.credentials._files import read_file
from cml_iam.errors import CredentialsError, RefusedError

if TYPE_CHECKING:
    from pathlib import Path

    from cml_iam.credentials._files import Found
    from cml_iam.credentials._keys import AccessKey

_ROOT: Final = 0
_OTHERS: Final = 0o077


def read_env_key(path: Path) -> AccessKey:
    """Return the access key in the file of environment variables at *path*.

    Raises CredentialsError where there is no file or no key in it, RefusedError where others may
    read or change the file or it belongs to somebody else, as OpenSSH does of a private key.
    """
    found = read_file(path)
    if found is None:
        raise CredentialsError(
            f"no file `{path}`", remedy="`cml-iam bootstrap apply` makes the key and writes it"
        )
    _refuse_unsafe(path, found)
    values = _dotenv.variables(found.data.decode("utf-8", "replace"))
    token = next((name for name in _dotenv.TOKENS if values.get(name)), None)
    if token:
        raise RefusedError(
            f"`{path}` sets {token}, with which no long-term key works",
            remedy="remove that line: it belongs to a temporary credential",
        )
    key = known_key(values.get(_dotenv.ID, ""), values.get(_dotenv.SECRET, ""))
    if key is None or not key.secret.reveal():
        raise CredentialsError(
            f"`{path}` holds no access key: no usable {_dotenv.ID} and {_dotenv.SECRET}",
            remedy="`cml-iam bootstrap apply` puts one into it",
        )
    return key


def _refuse_unsafe(path: Path, found: Found) -> None:
    if found.mode & _OTHERS:
        raise RefusedError(
            f"`{path}` holds a secret and is open to other users ({found.mode:04o})",
            remedy=f"`chmod 600 {path}`; if others may have read it, `cml-iam key rotate`",
        )
    if found.owner not in (os.geteuid(), _ROOT):
        raise RefusedError(
            f"`{path}` belongs to another user, who can change whose credential it holds",
            remedy="name a file of your own in [credentials] of the site file",
        )
