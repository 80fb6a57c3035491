"""A secret of AWS Secrets Manager as a store.

The staged key is the version AWSPENDING, the one in use AWSCURRENT; a move of that label is what
promotes: https://docs.aws.amazon.com/secretsmanager/latest/userguide/whats-in-a-secret.html
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from cml_iam.credentials import _remote
from cml_iam.credentials._store import Contents
from cml_iam.errors import AwsError, DeniedError, NotFoundError
from cml_iam.secret import Secret

if TYPE_CHECKING:
    from pathlib import Path

    from cml_iam.aws.port import Aws
    from cml_iam.credentials._keys import AccessKey

CURRENT: Final = "AWSCURRENT"
PENDING: Final = "AWSPENDING"
MADE: Final = "The access key of CML Cloud Manager, delivered by cml-iam"
EMPTY: Final = Secret("{}")


@dataclass(frozen=True, slots=True)
class SecretsManager:
    """The secret *secret* (a name or an ARN), which *aws* may read and change.

    Its value is a JSON object of the two variables; other members stay. *folder* is the private one
    for what must survive a crash: no secret is ever in it.
    """

    aws: Aws = field(repr=False)
    secret: str
    folder: Path

    @property
    def name(self) -> str:
        """The service and the name."""
        return f"secretsmanager:{self.secret}"

    def look(self) -> Contents:
        """Return the key in the current version and in the pending one; see the protocol."""
        labels = self._labels()
        current, pending = labels.get(CURRENT), labels.get(PENDING)
        key = _remote.key_of(self._value(CURRENT)) if current else None
        if pending is None or pending == current:
            return Contents(key)
        return Contents(key, _remote.key_of(self._value(PENDING)))

    def reserve(self) -> None:
        """Make the secret, without a key in it, where there is none.

        AWS makes the first version of a secret the current one, whatever it is asked for.
        """
        if not self._labels():
            try:
                self._call("describe_secret")
            except NotFoundError:
                self.aws.call(
                    "secretsmanager",
                    "create_secret",
                    Name=self.secret,
                    Description=MADE,
                    SecretString=EMPTY,
                )
            else:
                self._call("put_secret_value", SecretString=EMPTY)

    def stage(self, key: AccessKey) -> None:
        """Put the coming value as the version AWSPENDING."""
        if self.look().staged == key:
            return
        value = _remote.merged(self._value(CURRENT), key)
        self._call("put_secret_value", SecretString=value, VersionStages=[PENDING])

    def promote(self, key: AccessKey) -> None:
        """Move AWSCURRENT to the pending version, then take AWSPENDING off it."""
        if self.look().key != key:
            self.stage(key)
            labels = self._labels()
            self._move(CURRENT, labels[PENDING], labels.get(CURRENT))
        _remote.check_held(self.look().key, key, self.name)
        self.discard()

    def discard(self) -> None:
        """Take AWSPENDING off whatever version has it; AWS removes a version without a label."""
        pending = self._labels().get(PENDING)
        if pending is not None:
            self._move(PENDING, None, pending)

    def withdraw(self) -> None:
        """Discard, and delete a secret that `reserve` made and no key ever was in."""
        self.discard()
        try:
            ours = self._call("describe_secret").get("Description") == MADE
        except NotFoundError:
            return
        if ours and not self._value(CURRENT):
            # Who may not delete it leaves a secret without a key, which the next run uses.
            with suppress(DeniedError):
                self._call("delete_secret", ForceDeleteWithoutRecovery=True)

    def afterwards(self) -> tuple[str, ...]:
        """Return who keeps the old key."""
        return _remote.readers_keep(self.name)

    def _move(self, label: str, to: str | None, source: str | None) -> None:
        given = {"MoveToVersionId": to, "RemoveFromVersionId": source}
        present = {name: value for name, value in given.items() if value}
        try:
            self._call("update_secret_version_stage", VersionStage=label, **present)
        except AwsError:
            # Sent again after a lost answer it is refused, and done.
            if self._labels().get(label) != to:
                raise

    def _labels(self) -> dict[str, str]:
        """Return the version behind each label; none for a secret that is not there."""
        try:
            found = self._call("describe_secret")
        except NotFoundError:
            return {}
        versions: dict[str, list[str]] = found.get("VersionIdsToStages") or {}
        return {label: version for version, labels in versions.items() for label in labels}

    def _value(self, label: str) -> dict[str, Any]:
        answer = self._call("get_secret_value", VersionStage=label)
        value = answer.get("SecretString")
        return _remote.parsed(value if value is not None else Secret(""), self.name)

    def _call(self, operation: str, **parameters: Any) -> dict[str, Any]:
        return self.aws.call("secretsmanager", operation, SecretId=self.secret, **parameters)
