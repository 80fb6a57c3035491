"""Files with a format of their own as stores: AWS's shared credentials file, a Kubernetes Secret.

A profile is read as botocore does, with configparser: option names in lower case, `=` or `:`,
comments on lines of their own, indented continuation lines. Only its key changes.
https://docs.aws.amazon.com/sdkref/latest/guide/file-format.html

A Secret is a manifest for `kubectl apply --server-side -f`. Every value is printed as JSON, which
is also YAML, so that a value can never become structure.
"""

from __future__ import annotations

import json
import re
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Mapping
from configparser import Error as ConfigError
from configparser import RawConfigParser
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cml_iam.credentials import _files
from cml_iam.credentials._env_file import key_in
from cml_iam.credentials._file_store import FileStore, check_folder, known_key
from cml_iam.credentials._keys import AccessKey
from cml_iam.errors import InputError, RefusedError
from cml_iam.files import regular_text, shipped_templates

if TYPE_CHECKING:
    from jinja2 import Template


ID: Final = "aws_access_key_id"
SECRET: Final = "aws_secret_access_key"  # noqa: S105 - the name of an option

_HEADER: Final = re.compile(r"\[(?P<name>.+)\]")
_OPTION: Final = re.compile(
    r"(?P<head>\s*(?P<name>[^\s=:#;][^=:]*?)\s*[=:][ \t]*)[^\r\n]*(?P<end>\s*)"
)

Sections = dict[str, dict[str, str]]


def sections(text: str) -> Sections:
    """Return every profile with its options; raises ValueError if botocore cannot read *text*."""
    # As botocore does: no section is a default for the others.
    parser = RawConfigParser(default_section="\0")
    try:
        parser.read_string(text)
    except ConfigError as error:
        # The parser's own words repeat the line, which may hold a secret.
        raise ValueError(type(error).__name__) from None
    return {name: dict(parser.items(name)) for name in parser.sections()}


def with_pair(text: str, profile: str, key_id: str, secret: str) -> str:
    """Return *text* with the key of *profile* set or appended; raises ValueError if that fails."""
    values = {ID: key_id, SECRET: secret}
    before = sections(text)
    newline = "\r\n" if "\r\n" in text else "\n"
    changed = _set_options(text, profile, values, newline)
    if profile not in before:
        gap = "" if not text else newline if text.endswith("\n") else newline * 2
        pair = "".join(f"{name} = {value}{newline}" for name, value in values.items())
        changed = f"{text}{gap}[{profile}]{newline}{pair}"
    if sections(changed) != {**before, profile: {**before.get(profile, {}), **values}}:
        raise ValueError("its layout is unknown")
    return changed


def _set_options(text: str, profile: str, values: dict[str, str], newline: str) -> str:
    lines: list[str] = []
    inside, missing, header = False, dict(values), None
    for line in text.splitlines(keepends=True):
        heading = _HEADER.match(line)
        option = _OPTION.fullmatch(line) if inside else None
        if heading:
            inside = heading["name"] == profile
            header = len(lines) if inside else header
        elif option and option["name"].lower() in missing:
            line = f"{option['head']}{missing.pop(option['name'].lower())}{option['end']}"  # noqa: PLW2901
        lines.append(line)
    if header is not None and missing:
        added = "".join(f"{name} = {value}{newline}" for name, value in missing.items())
        lines[header] = lines[header].rstrip("\r\n") + newline + added
    return "".join(lines)


STRONGER: Final = ("aws_session_token", "aws_security_token", "role_arn")
"""Options that prevent the SDKs from using the long-term key in the same profile directly.

https://docs.aws.amazon.com/sdkref/latest/guide/standardized-credentials.html
"""
STRONGER_IN_CONFIG: Final = (*STRONGER, "sso_session", "sso_start_url")
"""The same options for the config file, where SDKs also look for a browser sign-on."""


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
        """Note that SDKs read the file only once, https://github.com/boto/botocore/issues/704."""
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
        options = _options(text, self.path, self.profile)
        return known_key(options.get(ID, ""), options.get(SECRET, ""))

    def _write(self, text: str, key: AccessKey) -> str:
        try:
            return with_pair(text, self.profile, key.id, key.secret.reveal())
        except ValueError as error:
            raise _unreadable(self.path, error) from None

    def _check(self, text: str) -> None:
        self._refuse_stronger(_options(text, self.path, self.profile), STRONGER, self.path)
        if self.config is not None and self.config.is_file():
            # https://docs.aws.amazon.com/sdkref/latest/guide/file-format.html
            section = "default" if self.profile == "default" else f"profile {self.profile}"
            options = _options(regular_text(self.config), self.config, section)
            self._refuse_stronger(options, STRONGER_IN_CONFIG, self.config)

    def _refuse_stronger(
        self, options: Mapping[str, str], stronger: tuple[str, ...], file: Path
    ) -> None:
        if present := [name for name in stronger if name in options]:
            raise RefusedError(
                f"the profile `{self.profile}` in `{file}` sets {present[0]}, so SDKs do not use "
                "the key directly",
                remedy="remove that line, or name another profile",
            )


def _options(text: str, file: Path, section: str) -> dict[str, str]:
    """Return the options of *section* in *text*, read from *file*."""
    try:
        return sections(text).get(section, {})
    except ValueError as error:
        raise _unreadable(file, error) from None


def _unreadable(file: Path, error: ValueError) -> InputError:
    return InputError(f"cannot read `{file}` as AWS credentials: {error}")


SECRET_NAME: Final = "cml-iam-credentials"  # noqa: S105 - the name of an object
_NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
"""A DNS label, https://kubernetes.io/docs/concepts/overview/working-with-objects/names/"""
_DATA: Final = re.compile(
    r"^  (AWS_ACCESS_KEY_ID|AWS_SECRET_ACCESS_KEY): \"([A-Za-z0-9+/=]*)\"$", re.M
)
_META: Final = re.compile(r"^  (name|namespace): \"([a-z0-9-]+)\"$", re.M)


@dataclass(frozen=True, slots=True)
class Manifest:
    """The Secret's *name* and *namespace*; without a namespace, kubectl's current one applies."""

    name: str = SECRET_NAME
    namespace: str | None = None

    def __post_init__(self) -> None:
        for name in filter(None, (self.name, self.namespace)):
            if not _NAME.fullmatch(name):
                raise InputError(
                    f"not a Kubernetes name: `{name}`",
                    remedy="write lower-case letters, digits and `-`",
                )

    def text(self, key: AccessKey) -> str:
        """Return the manifest with *key*, which base64 does not protect."""
        return _template().render(
            name=self.name,
            namespace=self.namespace,
            key_id=b64encode(key.id.encode()).decode(),
            secret=b64encode(key.secret.reveal().encode()).decode(),
        )


@dataclass(frozen=True, slots=True)
class ManifestFile(FileStore):
    """The manifest in the file at *path*, which must still be applied to the cluster."""

    manifest: Manifest = Manifest()

    def afterwards(self) -> tuple[str, ...]:
        """Return the command that applies it to the cluster; pods read it when they start."""
        return (
            f"`{self.path}` is not in the cluster yet: `kubectl apply --server-side "
            f"--field-manager=cml-iam -f {self.path}`, then restart the pods that read it",
        )

    def _read(self, text: str) -> AccessKey | None:
        return key_in({name: _decoded(value) for name, value in _DATA.findall(text)})

    def _write(self, text: str, key: AccessKey) -> str:  # noqa: ARG002 - the whole file is ours
        return self.manifest.text(key)

    def _check(self, text: str) -> None:
        """Refuse a file that we did not write for this Secret, as the whole file is replaced."""
        held = self._read(text)
        if not text or (held is not None and self.manifest.text(held) == text):
            return
        named = dict(_META.findall(text))
        other = "/".join(filter(None, (named.get("namespace"), named.get("name"))))
        raise RefusedError(
            f"`{self.path}` is not a manifest that cml-iam wrote for this Secret",
            remedy=f"name another file, or that Secret: k8s:{self.path}#{other or 'NAME'}",
        )


@cache
def _template() -> Template:
    return shipped_templates("templates", json.dumps).get_template("secret.yaml.j2")


def _decoded(text: str) -> str:
    try:
        return b64decode(text, validate=True).decode()
    except (Base64Error, UnicodeDecodeError):
        return ""
