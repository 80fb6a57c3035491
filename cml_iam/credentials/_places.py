"""The notation of stores, such as `env:PATH`; a new kind of store is a row and a case here."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from cml_iam.aws.port import Aws
from cml_iam.credentials._env_file import EnvFile
from cml_iam.credentials._file_store import STATE_FOLDER
from cml_iam.credentials._formats import SECRET_NAME, Manifest, ManifestFile, ProfileFile
from cml_iam.credentials._remote import Parameter, SecretsManager
from cml_iam.credentials._store import Store
from cml_iam.errors import InputError

_NAMES: Final = {
    "env": "PATH",
    "profile": "NAME",
    "k8s": "FILE[#[NAMESPACE/]NAME]",
    "secretsmanager": "NAME",
    "ssm": "NAME",
}
"""The form of the name for each kind of store."""

_FILES: Final = ("env", "k8s")
"""The kinds whose name, up to a `#`, is the path of a file."""

STORE_FORMS: Final = ", ".join(f"{kind}:{name}" for kind, name in _NAMES.items())
"""The forms of a store, for messages and for help."""


def open_store(text: str, aws: Callable[[], Aws], *, allow_tracked: bool = False) -> Store:
    """Return the store that *text* names, or raise InputError; *aws* is for stores inside AWS."""
    kind, _, name = text.partition(":")
    if kind not in _NAMES or not name:
        raise InputError(f"not a store: `{text}`", remedy=f"write one of {STORE_FORMS}")
    match kind:
        case "env":
            return EnvFile(Path(name).absolute(), allow_tracked)
        case "profile":
            return _profile(name, allow_tracked)
        case "k8s":
            file, _, named = name.partition("#")
            namespace, _, secret = named.rpartition("/")
            manifest = Manifest(secret or SECRET_NAME, namespace or None)
            return ManifestFile(Path(file).absolute(), allow_tracked, manifest)
        case "secretsmanager":
            return SecretsManager(aws(), name, Path.cwd() / STATE_FOLDER)
    return Parameter(aws(), name, Path.cwd() / STATE_FOLDER)


def _profile(name: str, allow_tracked: bool) -> Store:
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


def file_of_store(text: str) -> Path | None:
    """Return the file of the store *text*; None if the store has no file of its own."""
    kind, _, name = text.partition(":")
    return Path(name.partition("#")[0]) if kind in _FILES and name else None


def absolute_store(text: str) -> str:
    """Return *text* with an absolute path, so that it names the same store from any folder."""
    kind, _, name = text.partition(":")
    return f"{kind}:{Path(name).absolute()}" if file_of_store(text) else text
