"""A SecureString of the Systems Manager parameter store as a store.

A parameter changes for its readers the moment it is put, so the staged key is in a parameter of
its own: https://docs.aws.amazon.com/systems-manager/latest/userguide/sysman-paramstore-versions.html
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from cml_iam.credentials import _remote
from cml_iam.credentials._store import Contents
from cml_iam.errors import NotFoundError, RefusedError

if TYPE_CHECKING:
    from pathlib import Path

    from cml_iam.aws.port import Aws
    from cml_iam.credentials._keys import AccessKey

SUFFIX: Final = "-cml-iam-pending"


@dataclass(frozen=True, slots=True)
class Parameter:
    """The parameter *parameter*, which *aws* may read and change.

    Its value is a JSON object of the two variables, since two parameters cannot change in one
    instant; other members stay, and so do its key of KMS and its tier. *folder* is the private one
    for what must survive a crash: no secret is ever in it.
    """

    aws: Aws = field(repr=False)
    parameter: str
    folder: Path

    @property
    def name(self) -> str:
        """The service and the name."""
        return f"ssm:{self.parameter}"

    def look(self) -> Contents:
        """Return the key in the parameter and in the pending one; see the protocol."""
        held = _remote.key_of(self._value(self.parameter))
        return Contents(held, _remote.key_of(self._value(self._pending)))

    def reserve(self) -> None:
        """Make nothing: an account without room for a parameter refuses the staged one."""

    def stage(self, key: AccessKey) -> None:
        """Put the coming value into the pending parameter."""
        self._put(self._pending, key)

    def promote(self, key: AccessKey) -> None:
        """Put the coming value into the parameter, read it back, and drop the pending one."""
        if _remote.key_of(self._value(self.parameter)) != key:
            self._put(self.parameter, key)
        _remote.check_held(_remote.key_of(self._value(self.parameter)), key, self.name)
        self.discard()

    def discard(self) -> None:
        """Delete the pending parameter."""
        with suppress(NotFoundError):
            self.aws.call("ssm", "delete_parameter", Name=self._pending)

    def withdraw(self) -> None:
        """Discard: a parameter is not made before the key is in it."""
        self.discard()

    def afterwards(self) -> tuple[str, ...]:
        """Return who keeps the old key."""
        return _remote.readers_keep(self.name)

    @property
    def _pending(self) -> str:
        return f"{self.parameter}{SUFFIX}"

    def _put(self, name: str, key: AccessKey) -> None:
        value = _remote.merged(self._value(self.parameter), key)
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
        """Return what a put without it would set back to the default."""
        named = [{"Key": "Name", "Option": "Equals", "Values": [self.parameter]}]
        found = self.aws.call("ssm", "describe_parameters", ParameterFilters=named)["Parameters"]
        return {name: found[0][name] for name in ("KeyId", "Tier") if found and found[0].get(name)}

    def _value(self, name: str) -> dict[str, Any]:
        try:
            answer = self.aws.call("ssm", "get_parameter", Name=name, WithDecryption=True)
        except NotFoundError:
            return {}
        found = answer["Parameter"]
        if found["Type"] != "SecureString":
            raise RefusedError(
                f"`ssm:{name}` is a {found['Type']}, which is not encrypted",
                remedy="name another parameter, or make it a SecureString",
            )
        return _remote.parsed(found["Value"], f"ssm:{name}")
