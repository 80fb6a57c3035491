"""The stores inside AWS: a Secrets Manager secret and a Parameter Store parameter.

The value of each is a JSON object that contains the key; other members are kept.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Final

from cml_iam.aws.port import Aws
from cml_iam.credentials._env_file import key_in, pair_of, refuse_session_token
from cml_iam.credentials._keys import AccessKey
from cml_iam.credentials._store import Contents, Store, check_held
from cml_iam.errors import AwsError, DeniedError, NotFoundError, RefusedError
from cml_iam.files import parse_json
from cml_iam.secret import Secret


def parsed(value: Secret | None, name: str) -> dict[str, Any]:
    """Return the JSON object in *value*, empty if None; raises RefusedError for anything else."""
    if value is None:
        return {}
    try:
        members = parse_json(value.reveal())
    except ValueError:
        members = None
    if not isinstance(members, dict):
        raise RefusedError(
            f"`{name}` does not contain a JSON object, and its content would be lost",
            remedy="name another one",
        ) from None
    refuse_session_token(name, {member: value for member, value in members.items() if value})
    return members


def merged(members: dict[str, Any], key: AccessKey) -> Secret:
    """Return the JSON text of *members* with *key* in it."""
    return Secret(json.dumps(members | pair_of(key)))


@dataclass(frozen=True, slots=True)
class _AwsStore(Store):
    """A *resource*, by name or ARN, that *aws* may read and change.

    *folder* is the private folder for what must survive a crash; it never contains a secret.
    """

    service: ClassVar[str]

    aws: Aws = field(repr=False)
    resource: str
    folder: Path

    @property
    def name(self) -> str:
        """The service and the name."""
        return f"{self.service}:{self.resource}"

    def afterwards(self) -> tuple[str, ...]:
        """Return which readers keep the old key."""
        return (
            f"readers that keep `{self.name}` in memory keep the old key until they read it again",
        )


SUFFIX: Final = "-cml-iam-pending"


@dataclass(frozen=True, slots=True)
class Parameter(_AwsStore):
    """A SecureString in Parameter Store; its KMS key and tier stay as they are.

    Both variables are in one parameter, because two parameters cannot change atomically. Readers
    see a change immediately, so the staged key has a parameter of its own:
    https://docs.aws.amazon.com/systems-manager/latest/userguide/sysman-paramstore-versions.html
    """

    service = "ssm"

    def look(self) -> Contents:
        """Return the key in the parameter and in the pending one; see the protocol."""
        held = key_in(self._value(self.resource))
        return Contents(held, key_in(self._value(self._pending)))

    def stage(self, key: AccessKey) -> None:
        """Put the new value into the pending parameter."""
        self._put(self._pending, key)

    def promote(self, key: AccessKey) -> None:
        """Put the new value into the parameter, read it back, and delete the pending one."""
        if key_in(self._value(self.resource)) != key:
            self._put(self.resource, key)
        check_held(key_in(self._value(self.resource)), key, self.name)
        self.discard()

    def discard(self) -> None:
        """Delete the pending parameter."""
        with suppress(NotFoundError):
            self.aws.call("ssm", "delete_parameter", Name=self._pending)

    @property
    def _pending(self) -> str:
        return f"{self.resource}{SUFFIX}"

    def _put(self, name: str, key: AccessKey) -> None:
        value = merged(self._value(self.resource), key)
        self.aws.call(
            "ssm",
            "put_parameter",
            Name=name,
            Value=value,
            Type="SecureString",
            Overwrite=True,
            **self._kept(),
        )

    def _kept(self) -> dict[str, Any]:
        """Return the settings that PutParameter would otherwise reset."""
        filters = [{"Key": "Name", "Option": "Equals", "Values": [self.resource]}]
        answer = self.aws.call("ssm", "describe_parameters", ParameterFilters=filters)
        settings = answer["Parameters"][0] if answer["Parameters"] else {}
        return {name: settings[name] for name in ("KeyId", "Tier") if settings.get(name)}

    def _value(self, name: str) -> dict[str, Any]:
        try:
            answer = self.aws.call("ssm", "get_parameter", Name=name, WithDecryption=True)
        except NotFoundError:
            return {}
        parameter = answer["Parameter"]
        if parameter["Type"] != "SecureString":
            raise RefusedError(
                f"`ssm:{name}` is a {parameter['Type']}, which is not encrypted",
                remedy="name another parameter, or make it a SecureString",
            )
        return parsed(parameter["Value"], f"ssm:{name}")


CURRENT: Final = "AWSCURRENT"
PENDING: Final = "AWSPENDING"
MADE: Final = "The access key of CML Cloud Manager, delivered by cml-iam"
EMPTY: Final = Secret("{}")


@dataclass(frozen=True, slots=True)
class SecretsManager(_AwsStore):
    """A secret of Secrets Manager.

    The staged key is the version AWSPENDING, and the key in use is AWSCURRENT; moving that label
    promotes a key:
    https://docs.aws.amazon.com/secretsmanager/latest/userguide/whats-in-a-secret.html
    """

    service = "secretsmanager"

    def look(self) -> Contents:
        """Return the key in the current version and in the pending one; see the protocol."""
        labels = self._labels()
        current, pending = labels.get(CURRENT), labels.get(PENDING)
        key = key_in(self._value(CURRENT)) if current else None
        if pending is None or pending == current:
            return Contents(key)
        return Contents(key, key_in(self._value(PENDING)))

    def reserve(self) -> None:
        """Create a missing secret without a key: AWS makes the first version the current one."""
        if not self._labels():
            try:
                self._call("describe_secret")
            except NotFoundError:
                self.aws.call(
                    "secretsmanager",
                    "create_secret",
                    Name=self.resource,
                    Description=MADE,
                    SecretString=EMPTY,
                )
            else:
                self._call("put_secret_value", SecretString=EMPTY)

    def stage(self, key: AccessKey) -> None:
        """Put the new value as the version AWSPENDING."""
        if self.look().staged == key:
            return
        value = merged(self._value(CURRENT), key)
        self._call("put_secret_value", SecretString=value, VersionStages=[PENDING])

    def promote(self, key: AccessKey) -> None:
        """Move AWSCURRENT to the pending version, then remove AWSPENDING from it."""
        if self.look().key != key:
            self.stage(key)
            labels = self._labels()
            self._move(CURRENT, labels[PENDING], labels.get(CURRENT))
        check_held(self.look().key, key, self.name)
        self.discard()

    def discard(self) -> None:
        """Remove AWSPENDING from its version; AWS deletes versions without labels."""
        pending = self._labels().get(PENDING)
        if pending is not None:
            self._move(PENDING, None, pending)

    def withdraw(self) -> None:
        """Discard, and delete a secret that `reserve` created and that never held a key."""
        self.discard()
        try:
            ours = self._call("describe_secret").get("Description") == MADE
        except NotFoundError:
            return
        if ours and not self._value(CURRENT):
            # Who may not delete it leaves a secret without a key, which the next run uses.
            with suppress(DeniedError):
                self._call("delete_secret", ForceDeleteWithoutRecovery=True)

    def _move(self, label: str, to: str | None, source: str | None) -> None:
        versions = {"MoveToVersionId": to, "RemoveFromVersionId": source}
        present = {name: value for name, value in versions.items() if value}
        try:
            self._call("update_secret_version_stage", VersionStage=label, **present)
        except AwsError:
            # Sent again after a lost answer it is refused, and done.
            if self._labels().get(label) != to:
                raise

    def _labels(self) -> dict[str, str]:
        """Return the version behind each label; empty if the secret does not exist."""
        try:
            secret = self._call("describe_secret")
        except NotFoundError:
            return {}
        versions: dict[str, list[str]] = secret.get("VersionIdsToStages") or {}
        return {label: version for version, labels in versions.items() for label in labels}

    def _value(self, label: str) -> dict[str, Any]:
        answer = self._call("get_secret_value", VersionStage=label)
        value = answer.get("SecretString")
        return parsed(value if value is not None else Secret(""), self.name)

    def _call(self, operation: str, **parameters: Any) -> dict[str, Any]:
        return self.aws.call("secretsmanager", operation, SecretId=self.resource, **parameters)
