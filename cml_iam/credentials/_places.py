"""The notation of stores, such as `env:PATH`; a new kind of store is a row here."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cml_iam.credentials._env_file import EnvFile
from cml_iam.credentials._file_store import STATE_FOLDER
from cml_iam.credentials._formats import SECRET_NAME, Manifest, ManifestFile, ProfileFile
from cml_iam.credentials._remote import Parameter, SecretsManager
from cml_iam.errors import InputError

if TYPE_CHECKING:
    from cml_iam.aws.port import Aws
    from cml_iam.credentials._store import Store

Connect = Callable[[], "Aws"]


@dataclass(frozen=True, slots=True)
class _Kind:
    """A kind of store: the form of its *name*, and how to open it.

    With *is_file*, the name up to a `#` is the path of a file.
    """

    name: str
    open: Callable[[str, Connect, bool], Store]
    is_file: bool = False


def _env(name: str, _aws: Connect, allow_tracked: bool) -> Store:
    return EnvFile(Path(name).absolute(), allow_tracked)


def _profile(name: str, _aws: Connect, allow_tracked: bool) -> Store:
    """Return the store for a profile in the SDKs' credentials file.

    https://docs.aws.amazon.com/sdkref/latest/guide/file-location.html
    """
    if set(name) & set("[]\r\n"):
        raise InputError(f"not a profile name: `{name}`")
    path = _shared_file("AWS_SHARED_CREDENTIALS_FILE", "credentials")
    if path.exists() and not path.is_file():
        raise InputError(
            f"the shared credentials file would be `{path}`, which is not a regular file",
            remedy="set AWS_SHARED_CREDENTIALS_FILE to a file, or unset it for ~/.aws/credentials",
        )
    return ProfileFile(path, allow_tracked, name, _shared_file("AWS_CONFIG_FILE", "config"))


def _shared_file(variable: str, name: str) -> Path:
    named = os.environ.get(variable)
    path = Path(named).expanduser() if named else Path.home() / ".aws" / name
    return path.absolute()


def _kubernetes(name: str, _aws: Connect, allow_tracked: bool) -> Store:
    file, _, named = name.partition("#")
    namespace, _, secret = named.rpartition("/")
    manifest = Manifest(secret or SECRET_NAME, namespace or None)
    return ManifestFile(Path(file).absolute(), allow_tracked, manifest)


def _secrets_manager(name: str, aws: Connect, _tracked: bool) -> Store:
    return SecretsManager(aws(), name, Path.cwd() / STATE_FOLDER)


def _parameter(name: str, aws: Connect, _tracked: bool) -> Store:
    return Parameter(aws(), name, Path.cwd() / STATE_FOLDER)


_KINDS: Final = {
    "env": _Kind("PATH", _env, is_file=True),
    "profile": _Kind("NAME", _profile),
    "k8s": _Kind("FILE[#[NAMESPACE/]NAME]", _kubernetes, is_file=True),
    "secretsmanager": _Kind("NAME", _secrets_manager),
    "ssm": _Kind("NAME", _parameter),
}
STORE_FORMS: Final = ", ".join(f"{kind}:{row.name}" for kind, row in _KINDS.items())
"""The forms of a store, for messages and for help."""


def open_store(text: str, aws: Connect, *, allow_tracked: bool = False) -> Store:
    """Return the store that *text* names; *aws* returns the port for stores inside AWS.

    Raises InputError for text that names no store.
    """
    kind, _, name = text.partition(":")
    if kind not in _KINDS or not name:
        raise InputError(f"not a store: `{text}`", remedy=f"write one of {STORE_FORMS}")
    return _KINDS[kind].open(name, aws, allow_tracked)


def file_of_store(text: str) -> Path | None:
    """Return the file of the store *text*; None if the store has no file of its own."""
    kind, _, name = text.partition(":")
    is_file = kind in _KINDS and _KINDS[kind].is_file and bool(name)
    return Path(name.partition("#")[0]) if is_file else None


def absolute_store(text: str) -> str:
    """Return *text* with an absolute path, so that it names the same store from any folder."""
    kind, _, name = text.partition(":")
    return f"{kind}:{Path(name).absolute()}" if file_of_store(text) else text
