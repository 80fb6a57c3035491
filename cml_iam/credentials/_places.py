"""The stores as they are written: `env:PATH`, `profile:NAME`, `k8s:FILE`, and those in AWS."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cml_iam.credentials._env_file import EnvFile
from cml_iam.credentials._file_store import STATE_FOLDER
from cml_iam.credentials._manifest import SECRET_NAME, Manifest, ManifestFile
from cml_iam.credentials._parameter import Parameter
from cml_iam.credentials._profile_file import ProfileFile
from cml_iam.credentials._secrets_manager import SecretsManager
from cml_iam.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from cml_iam.aws.port import Aws
    from cml_iam.credentials._store import Store

FORMS: Final = "env:PATH, profile:NAME, k8s:FILE[#[NAMESPACE/]NAME], secretsmanager:NAME, ssm:NAME"


def open_store(text: str, aws: Callable[[], Aws], *, allow_tracked: bool = False) -> Store:
    """Return the store that *text* names; *aws* gives the port for those inside AWS.

    Raises InputError for what names none.
    """
    kind, colon, name = text.partition(":")
    if not colon or not name:
        raise InputError(f"not a store: `{text}`", remedy=f"write one of {FORMS}")
    if kind == "env":
        return EnvFile(Path(name).absolute(), allow_tracked)
    if kind == "profile":
        return _profile(name, allow_tracked)
    if kind == "k8s":
        file, _, named = name.partition("#")
        namespace, _, secret = named.rpartition("/")
        manifest = Manifest(secret or SECRET_NAME, namespace or None)
        return ManifestFile(Path(file).absolute(), allow_tracked, manifest)
    folder = Path.cwd() / STATE_FOLDER
    if kind == "secretsmanager":
        return SecretsManager(aws(), name, folder)
    if kind == "ssm":
        return Parameter(aws(), name, folder)
    raise InputError(f"not a store: `{text}`", remedy=f"write one of {FORMS}")


def _profile(name: str, allow_tracked: bool) -> ProfileFile:
    """Return the profile in the file where the SDKs look for it.

    https://docs.aws.amazon.com/sdkref/latest/guide/file-location.html
    """
    if set(name) & set("[]\r\n"):
        raise InputError(f"not a name of a profile: `{name}`")
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
