"""A store of each kind, and several taken as one."""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Callable, Iterator
from configparser import RawConfigParser
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

from cml_iam.aws.port import Aws
from cml_iam.credentials import EnvFile, Manifest, Store, Together
from cml_iam.credentials._env_file import ID, SECRET, variables
from cml_iam.credentials._formats import ManifestFile, ProfileFile
from cml_iam.credentials._remote import Parameter, SecretsManager

if TYPE_CHECKING:
    from tests.credentials.fake_cloud import Cloud

Make = Callable[[Path, Aws], Store]
STATE = ".cml-iam"


def together(*kinds: str) -> Make:
    return lambda folder, aws: Together(tuple(STORES[kind](folder, aws) for kind in kinds))


STORES: dict[str, Make] = {
    "env": lambda folder, aws: EnvFile(folder / ".env"),
    "profile": lambda folder, aws: ProfileFile(folder / "credentials", profile="cml"),
    "other-profile": lambda folder, aws: ProfileFile(folder / "credentials", profile="default"),
    "k8s": lambda folder, aws: ManifestFile(
        folder / "secret.yaml", manifest=Manifest("aws", "prod")
    ),
    "secretsmanager": lambda folder, aws: SecretsManager(aws, "prod/cml", folder / STATE),
    "ssm": lambda folder, aws: Parameter(aws, "/prod/cml", folder / STATE),
}
FILES = ("env", "profile", "k8s")
FILE_NAMES = {".env", "credentials", "secret.yaml"}
PARTS = {
    "three files": ("env", "profile", "k8s"),
    "two profiles": ("profile", "other-profile"),
    "both in AWS": ("secretsmanager", "ssm"),
    "all": ("env", "profile", "other-profile", "k8s", "secretsmanager", "ssm"),
}
SEVERAL = {kind: together(*parts) for kind, parts in PARTS.items()}
EVERY = {**STORES, **SEVERAL}


def readers_see(kind: str, folder: Path, cloud: Cloud) -> Iterator[tuple[str, str]]:
    """What the readers of each store of *kind* get, read in their own way; asks no store."""
    for each in PARTS.get(kind, (kind,)):
        yield _READ[each](folder, cloud)


def _env(folder: Path, cloud: Cloud) -> tuple[str, str]:
    values = variables(_text(folder / ".env"))
    return values.get(ID, ""), values.get(SECRET, "")


def _section(name: str, folder: Path) -> tuple[str, str]:
    parser = RawConfigParser()
    parser.read_string(_text(folder / "credentials"))
    found = dict(parser.items(name)) if parser.has_section(name) else {}
    return found.get(ID.lower(), ""), found.get(SECRET.lower(), "")


def _manifest(folder: Path, cloud: Cloud) -> tuple[str, str]:
    lines = dict(
        line.strip().split(": ", 1)
        for line in _text(folder / "secret.yaml").splitlines()
        if line.startswith("  AWS_")
    )
    if not lines:
        return "", ""
    return b64decode(lines[ID]).decode(), b64decode(lines[SECRET]).decode()


def _json(found: dict[str, str]) -> tuple[str, str]:
    return found.get(ID, ""), found.get(SECRET, "")


def _text(path: Path) -> str:
    # Not through pathlib's `open`, which the crash tests count.
    with open(path, encoding="utf-8") if path.exists() else StringIO() as file:
        return file.read()


_READ: dict[str, Callable[[Path, Cloud], tuple[str, str]]] = {
    "env": _env,
    "profile": lambda folder, cloud: _section("cml", folder),
    "other-profile": lambda folder, cloud: _section("default", folder),
    "k8s": _manifest,
    "secretsmanager": lambda folder, cloud: _json(cloud.current("prod/cml")),
    "ssm": lambda folder, cloud: _json(json.loads(cloud.parameters.get("/prod/cml", "{}"))),
}
