# ruff: noqa: N803 - the parameters bear the names AWS gives them
"""Secrets Manager and the parameter store in memory, beside the IAM in memory, with its faults."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from cml_iam import errors
from cml_iam.aws.port import Identity
from cml_iam.secret import Secret
from tests.provision.fake_iam import FakeAws


def _missing(name: str) -> errors.NotFoundError:
    return errors.NotFoundError(f"no {name}", code="ResourceNotFoundException")


@dataclass
class Cloud:
    """*secrets*: of each name the values by version, and the version behind each label."""

    secrets: dict[str, dict[str, str]] = field(default_factory=dict)
    labels: dict[str, dict[str, str]] = field(default_factory=dict)
    described: dict[str, str] = field(default_factory=dict)
    parameters: dict[str, str] = field(default_factory=dict)
    kept: dict[str, dict[str, str]] = field(default_factory=dict)
    versions: int = 0

    def current(self, secret: str) -> dict[str, str]:
        """The value that readers of the secret get; asks nobody."""
        version = self.labels.get(secret, {}).get("AWSCURRENT")
        found: dict[str, str] = json.loads(self.secrets[secret][version]) if version else {}
        return found

    # Secrets Manager

    def create_secret(
        self, Name: str, SecretString: Secret, Description: str = ""
    ) -> dict[str, Any]:
        if Name in self.secrets:
            raise errors.RequestError("exists", code="ResourceExistsException")
        self.secrets[Name], self.labels[Name] = {}, {}
        self.described[Name] = Description
        return self.put_secret_value(Name, SecretString)

    def describe_secret(self, SecretId: str) -> dict[str, Any]:
        if SecretId not in self.secrets:
            raise _missing(SecretId)
        stages: dict[str, list[str]] = {}
        for label, version in self.labels[SecretId].items():
            stages.setdefault(version, []).append(label)
        return {"VersionIdsToStages": stages, "Description": self.described.get(SecretId, "")}

    def delete_secret(self, SecretId: str, ForceDeleteWithoutRecovery: bool) -> dict[str, Any]:
        assert ForceDeleteWithoutRecovery
        if self.secrets.pop(SecretId, None) is None:
            raise _missing(SecretId)
        del self.labels[SecretId]
        return {}

    def get_secret_value(self, SecretId: str, VersionStage: str) -> dict[str, Any]:
        version = self.labels.get(SecretId, {}).get(VersionStage)
        if version is None:
            raise _missing(f"{SecretId} {VersionStage}")
        return {"SecretString": Secret(self.secrets[SecretId][version])}

    def put_secret_value(
        self, SecretId: str, SecretString: Secret, VersionStages: list[str] | None = None
    ) -> dict[str, Any]:
        if SecretId not in self.secrets:
            raise _missing(SecretId)
        self.versions += 1
        version, labels = f"version-{self.versions:032}", self.labels[SecretId]
        first = not self.secrets[SecretId]
        self.secrets[SecretId][version] = SecretString.reveal()
        for label in VersionStages or ["AWSCURRENT"]:
            labels[label] = version
        if first:  # AWS attaches it to the first version whatever was asked for
            labels["AWSCURRENT"] = version
        return {}

    def update_secret_version_stage(
        self,
        SecretId: str,
        VersionStage: str,
        MoveToVersionId: str | None = None,
        RemoveFromVersionId: str | None = None,
    ) -> dict[str, Any]:
        labels = self.labels[SecretId]
        if labels.get(VersionStage) != RemoveFromVersionId:
            raise errors.RequestError("not there", code="InvalidParameterException")
        if MoveToVersionId:
            labels[VersionStage] = MoveToVersionId
        else:
            del labels[VersionStage]
        return {}

    # Systems Manager

    def get_parameter(self, Name: str, WithDecryption: bool) -> dict[str, Any]:
        if Name not in self.parameters:
            raise _missing(Name)
        return {"Parameter": {"Type": "SecureString", "Value": Secret(self.parameters[Name])}}

    def describe_parameters(self, ParameterFilters: list[dict[str, Any]]) -> dict[str, Any]:
        (name,) = ParameterFilters[0]["Values"]
        return {"Parameters": [self.kept[name]] if name in self.kept else []}

    def put_parameter(
        self, Name: str, Value: Secret, Type: str, Overwrite: bool, **kept: str
    ) -> dict[str, Any]:
        assert Type == "SecureString"
        self.parameters[Name] = Value.reveal()
        # What is not said again is set back to the default.
        self.kept[Name] = {"KeyId": "alias/aws/ssm", "Tier": "Standard", **kept}
        return {}

    def delete_parameter(self, Name: str) -> dict[str, Any]:
        if self.parameters.pop(Name, None) is None:
            raise _missing(Name)
        return {}


@dataclass
class CloudAws:
    """The port onto *cloud* for two services, onto *inner* for the others."""

    cloud: Cloud
    inner: FakeAws
    region: str | None = "us-east-1"

    def identity(self) -> Identity:
        return self.inner.identity()

    def call(
        self,
        service: str,
        operation: str,
        *,
        region: str | None = None,
        once: bool = False,
        **parameters: Any,
    ) -> dict[str, Any]:
        if service not in ("secretsmanager", "ssm"):
            return self.inner.call(service, operation, region=region, once=once, **parameters)
        handler = getattr(self.cloud, operation)
        answer: dict[str, Any] = self.inner._disturbed(
            operation, lambda: handler(**parameters), once
        )
        return answer

    def pages(
        self, service: str, operation: str, key: str, *, region: str | None = None, **rest: Any
    ) -> Iterator[Any]:
        yield from self.call(service, operation, region=region, **rest)[key]
