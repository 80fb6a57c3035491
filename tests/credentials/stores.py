"""A store of each kind, and several taken as one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from cml_iam.aws.port import Aws
from cml_iam.credentials import (
    EnvFile,
    Manifest,
    ManifestFile,
    Parameter,
    ProfileFile,
    SecretsManager,
    Store,
    Together,
)

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
SEVERAL = {
    "three files": together("env", "profile", "k8s"),
    "two profiles": together("profile", "other-profile"),
    "both in AWS": together("secretsmanager", "ssm"),
    "all": together("env", "profile", "other-profile", "k8s", "secretsmanager", "ssm"),
}
EVERY = {**STORES, **SEVERAL}
