"""A profile of AWS's shared credentials file as a store; only its key changes.

Read as botocore does, with configparser: option names in lower case, `=` or `:`, comments on lines
of their own, indented continuation lines.
https://docs.aws.amazon.com/sdkref/latest/guide/file-format.html
"""

from __future__ import annotations

import re
from configparser import Error as ConfigError
from configparser import RawConfigParser
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from cml_iam.credentials import _files
from cml_iam.credentials._file_store import FileStore, check_folder, known_key
from cml_iam.errors import InputError, RefusedError
from cml_iam.files import regular_text

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from cml_iam.credentials._keys import AccessKey


ID: Final = "aws_access_key_id"
SECRET: Final = "aws_secret_access_key"  # noqa: S105 - the name of an option

_HEADER: Final = re.compile(r"\[(?P<name>.+)\]")
_OPTION: Final = re.compile(
    r"(?P<head>\s*(?P<name>[^\s=:#;][^=:]*?)\s*[=:][ \t]*)[^\r\n]*(?P<end>\s*)"
)

Sections = dict[str, dict[str, str]]


def sections(text: str) -> Sections:
    """Return every profile with its options; raises ValueError for what botocore cannot read."""
    # As botocore does: no section is a default for the others.
    parser = RawConfigParser(default_section="\0")
    try:
        parser.read_string(text)
    except ConfigError as error:
        # The parser's own words repeat the line, which may hold a secret.
        raise ValueError(type(error).__name__) from None
    return {name: dict(parser.items(name)) for name in parser.sections()}


def with_pair(text: str, profile: str, key_id: str, secret: str) -> str:
    """Return *text* with the key of *profile* set, everything else unchanged.

    A missing profile is appended. Raises ValueError if that is not possible.
    """
    values = {ID: key_id, SECRET: secret}
    before = sections(text)
    newline = "\r\n" if "\r\n" in text else "\n"
    made = _set_options(text, profile, values, newline)
    if profile not in before:
        gap = "" if not text else newline if text.endswith("\n") else newline * 2
        pair = "".join(f"{name} = {value}{newline}" for name, value in values.items())
        made = f"{text}{gap}[{profile}]{newline}{pair}"
    if sections(made) != {**before, profile: {**before.get(profile, {}), **values}}:
        raise ValueError("its layout is not understood")
    return made


def _set_options(text: str, profile: str, values: dict[str, str], newline: str) -> str:
    lines: list[str] = []
    inside, missing, header = False, dict(values), None
    for line in text.splitlines(keepends=True):
        found = _HEADER.match(line)
        option = _OPTION.fullmatch(line) if inside else None
        if found:
            inside = found["name"] == profile
            header = len(lines) if inside else header
        elif option and option["name"].lower() in missing:
            line = f"{option['head']}{missing.pop(option['name'].lower())}{option['end']}"  # noqa: PLW2901
        lines.append(line)
    if header is not None and missing:
        added = "".join(f"{name} = {value}{newline}" for name, value in missing.items())
        lines[header] = lines[header].rstrip("\r\n") + newline + added
    return "".join(lines)


STRONGER: Final = ("aws_session_token", "aws_security_token", "role_arn")
"""Options that keep the SDKs from using the long-term key beside them directly.

https://docs.aws.amazon.com/sdkref/latest/guide/standardized-credentials.html
"""
STRONGER_IN_CONFIG: Final = (*STRONGER, "sso_session", "sso_start_url")
"""The same for the config file, where SDKs also look for a browser sign-on."""


@dataclass(frozen=True, slots=True)
class ProfileFile(FileStore):
    """The section *profile* of the shared credentials file at *path*.

    *config* is the config file that SDKs read beside it; None if irrelevant.
    """

    profile: str = "default"
    config: Path | None = None

    @property
    def name(self) -> str:
        """The path and the profile."""
        return f"{self.path} [{self.profile}]"

    def afterwards(self) -> tuple[str, ...]:
        """Say that SDKs read the file once, https://github.com/boto/botocore/issues/704."""
        return (f"programs that use the profile `{self.profile}` keep the old key until restarted",)

    def prepare(self) -> None:
        """Create `~/.aws`, private, if it is missing."""
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
        return known_key(found.get(ID, ""), found.get(SECRET, ""))

    def _write(self, text: str, key: AccessKey) -> str:
        try:
            return with_pair(text, self.profile, key.id, key.secret.reveal())
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
                f"the profile `{self.profile}` in `{file}` sets {present[0]}, so that SDKs do "
                "not use the key directly",
                remedy="remove that line, or name another profile",
            )

    def _sections(self, text: str, file: Path) -> Sections:
        try:
            return sections(text)
        except ValueError as error:
            raise _unreadable(file, error) from None


def _unreadable(file: Path, error: ValueError) -> InputError:
    return InputError(f"cannot read `{file}` as AWS credentials: {error}")
