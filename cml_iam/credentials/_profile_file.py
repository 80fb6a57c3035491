"""A profile of AWS's shared credentials file as a store."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from cml_iam.credentials import _files, _ini
from cml_iam.credentials._file_store import FileStore, check_folder, known_key
from cml_iam.errors import InputError, RefusedError
from cml_iam.files import regular_text

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from cml_iam.credentials._keys import AccessKey

STRONGER: Final = ("aws_session_token", "aws_security_token", "role_arn")
"""Options with which the SDKs do not use the long-term key beside them as it is.

https://docs.aws.amazon.com/sdkref/latest/guide/standardized-credentials.html
"""
STRONGER_IN_CONFIG: Final = (*STRONGER, "sso_session", "sso_start_url")
"""The same in the config file, where the SDKs also look for a sign-on by a browser."""


@dataclass(frozen=True, slots=True)
class ProfileFile(FileStore):
    """The section *profile* of the shared credentials file at *path*.

    *config* is the config file that the SDKs read beside it, None where it does not matter.
    """

    profile: str = "default"
    config: Path | None = None

    @property
    def name(self) -> str:
        """The path and the profile."""
        return f"{self.path} [{self.profile}]"

    def afterwards(self) -> tuple[str, ...]:
        """Return that the SDKs read the file once, https://github.com/boto/botocore/issues/704."""
        return (f"programs that use the profile `{self.profile}` keep the old key until restarted",)

    def prepare(self) -> None:
        """Make `~/.aws`, private, where there is none."""
        _files.make_missing_folder(self.path.parent)

    def _check_folder(self) -> None:
        folder = self.path.parent
        check_folder(folder if folder.exists() else folder.parent)

    @property
    def _stem(self) -> str:
        # Two profiles of one file may be under way at the same time.
        return f"{self.path.name}.{self.profile.encode().hex()}"

    def _read(self, text: str) -> AccessKey | None:
        found = self._sections(text, self.path).get(self.profile, {})
        return known_key(found.get(_ini.ID, ""), found.get(_ini.SECRET, ""))

    def _write(self, text: str, key: AccessKey) -> str:
        try:
            return _ini.with_pair(text, self.profile, key.id, key.secret.reveal())
        except ValueError as error:
            raise _unreadable(self.path, error) from None

    def _check(self, text: str) -> None:
        here = self._sections(text, self.path).get(self.profile, {})
        self._refuse_stronger(here, STRONGER, self.path)
        if self.config is not None and self.config.is_file():
            # https://docs.aws.amazon.com/sdkref/latest/guide/file-format.html
            section = "default" if self.profile == "default" else f"profile {self.profile}"
            there = self._sections(regular_text(self.config), self.config).get(section, {})
            self._refuse_stronger(there, STRONGER_IN_CONFIG, self.config)

    def _refuse_stronger(
        self, options: Mapping[str, str], stronger: tuple[str, ...], file: Path
    ) -> None:
        present = [name for name in stronger if name in options]
        if present:
            raise RefusedError(
                f"the profile `{self.profile}` in `{file}` sets {present[0]}, with which the "
                "key is not used as it is",
                remedy="remove that line, or name another profile",
            )

    def _sections(self, text: str, file: Path) -> _ini.Sections:
        try:
            return _ini.sections(text)
        except ValueError as error:
            raise _unreadable(file, error) from None


def _unreadable(file: Path, error: ValueError) -> InputError:
    return InputError(f"cannot read `{file}` as AWS credentials: {error}")
