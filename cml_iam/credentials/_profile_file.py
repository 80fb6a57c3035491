"""A profile of AWS's shared credentials file as a store."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from cml_iam.credentials import _ini
from cml_iam.credentials._file_store import FileStore, known_key
from cml_iam.errors import InputError, RefusedError

if TYPE_CHECKING:
    from cml_iam.credentials._keys import AccessKey

STRONGER: Final = ("aws_session_token", "role_arn")
"""Options with which the SDKs do not use the long-term key beside them as it is.

https://docs.aws.amazon.com/sdkref/latest/guide/standardized-credentials.html
"""


@dataclass(frozen=True, slots=True)
class ProfileFile(FileStore):
    """The section *profile* of the shared credentials file at *path*."""

    profile: str = "default"

    @property
    def name(self) -> str:
        """The path and the profile."""
        return f"{self.path} [{self.profile}]"

    def afterwards(self) -> tuple[str, ...]:
        """Return that the SDKs read the file once, https://github.com/boto/botocore/issues/704."""
        return (f"programs that use the profile `{self.profile}` keep the old key until restarted",)

    @property
    def _stem(self) -> str:
        # Two profiles of one file may be under way at the same time.
        return f"{self.path.name}.{self.profile.encode().hex()}"

    def _read(self, text: str) -> AccessKey | None:
        found = self._sections(text).get(self.profile, {})
        return known_key(found.get(_ini.ID, ""), found.get(_ini.SECRET, ""))

    def _write(self, text: str, key: AccessKey) -> str:
        try:
            return _ini.with_pair(text, self.profile, key.id, key.secret.reveal())
        except ValueError as error:
            raise self._unreadable(error) from None

    def _check(self, text: str) -> None:
        present = [name for name in STRONGER if name in self._sections(text).get(self.profile, {})]
        if present:
            raise RefusedError(
                f"the profile `{self.profile}` in `{self.path}` sets {present[0]}, with which the "
                "key is not used as it is",
                remedy="remove that line, or name another profile",
            )

    def _sections(self, text: str) -> _ini.Sections:
        try:
            return _ini.sections(text)
        except ValueError as error:
            raise self._unreadable(error) from None

    def _unreadable(self, error: ValueError) -> InputError:
        return InputError(f"cannot read `{self.path}` as AWS credentials: {error}")
