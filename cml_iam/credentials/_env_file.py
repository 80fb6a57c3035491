"""A key in environment variables: the `.env` file as a store, and a child's environment.

The format is what Docker Compose and python-dotenv both accept: `NAME=value`, an optional `export`,
quotes (which may span lines), comments after white space. If a name occurs twice, the last one
counts. https://docs.docker.com/reference/compose-file/services/#env_file-format
"""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Container, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from cml_iam.credentials._exposure import mounted_elsewhere
from cml_iam.credentials._file_store import FileStore, known_key
from cml_iam.credentials._files import FileState, read_file
from cml_iam.credentials._keys import AccessKey
from cml_iam.errors import CredentialsError, RefusedError

ID: Final = "AWS_ACCESS_KEY_ID"
SECRET: Final = "AWS_SECRET_ACCESS_KEY"  # noqa: S105 - the name of a variable
TOKENS: Final = ("AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN")
"""The names of the session token; boto3 still reads the second, older one."""

_RULE = "# " + "=" * 76
HEADER: Final = (_RULE, "# AWS Settings", _RULE)

# Some editors put a byte order mark before the first line.
_LINE = re.compile(
    r"""
    (?P<head> (?:\A\ufeff)? [ \t]* (?:export[ \t]+)? (?P<name>[A-Za-z_][A-Za-z0-9_.-]*) [ \t]* = )
    [ \t]*
    (?: "(?P<double>(?:\\.|[^"\\])*)" | '(?P<single>(?:\\.|[^'\\])*)'
      | (?P<bare>[^\s'"#][^\r\n]*?) (?=[ \t]+\#|[ \t]*(?:\r|\n|\Z)) | (?=\#|\r|\n|\Z) )
    (?P<tail>[^\n]*(?:\n|\Z))
    | (?P<other>[^\n]*\n|[^\n]+\Z)
    """,
    re.VERBOSE | re.DOTALL,
)


def variables(text: str) -> dict[str, str]:
    """Return the variables that *text* sets."""
    return {
        line["name"]: line["double"] or line["single"] or line["bare"] or ""
        for line in _LINE.finditer(text)
        if line["name"]
    }


def with_pair(text: str, key_id: str, secret: str) -> str:
    """Return *text* with the key's two variables set in place, or appended below a heading."""
    values = {ID: key_id, SECRET: secret}
    newline = "\r\n" if "\r\n" in text else "\n"
    lines = list(_LINE.finditer(text))
    places = [number for number, line in enumerate(lines) if line["name"] in values]
    if not places:
        gap = "" if not text else newline if text.endswith("\n") else newline * 2
        pair = (f"{name}={value}" for name, value in values.items())
        return text + gap + "".join(f"{line}{newline}" for line in (*HEADER, *pair))
    texts = [_set(line, values) for line in lines]
    missing = set(values) - {lines[place]["name"] for place in places}
    for name in missing:
        # Beside its partner, on a line of its own even where that one ended the file.
        partner = texts[places[-1]].rstrip("\r\n")
        texts[places[-1]] = f"{partner}{newline}{name}={values[name]}{newline}"
    return "".join(texts)


def _set(line: re.Match[str], values: dict[str, str]) -> str:
    if line["name"] not in values:
        return line[0]
    gap = " " if line["tail"].startswith("#") else ""
    return f"{line['head']}{values[line['name']]}{gap}{line['tail']}"


COMPOSE_FILES: Final = ("compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml")
"""https://docs.docker.com/compose/intro/compose-application-model/#the-compose-file"""


@dataclass(frozen=True, slots=True)
class EnvFile(FileStore):
    """A file of environment variables, as read by Docker Compose."""

    def afterwards(self) -> tuple[str, ...]:
        """Return which services to recreate, and which processes have the old file mounted.

        `docker compose restart` does not read the file again:
        https://docs.docker.com/reference/cli/docker/compose/restart/
        """
        words = []
        if processes := mounted_elsewhere(self.path):
            words.append(
                f"`{self.path}` is mounted as a single file, so these processes still see the old "
                f"one: {', '.join(processes)}; create the container again, and mount the folder "
                "instead"
            )
        compose = [name for name in COMPOSE_FILES if (self.path.parent / name).is_file()]
        if compose:
            command = "docker compose up -d --force-recreate"
            words.append(
                f"services of `{compose[0]}` keep the old key until `{command}` (not `restart`)"
            )
        return tuple(words)

    def _read(self, text: str) -> AccessKey | None:
        return key_in(variables(text))

    def _write(self, text: str, key: AccessKey) -> str:
        return with_pair(text, key.id, key.secret.reveal())

    def _check(self, text: str) -> None:
        refuse_session_token(str(self.path), variables(text))

    def _doubts(self, text: str) -> tuple[str, ...]:
        values = variables(text)
        return tuple(
            f"`{self.path}` also sets {name}: an SDK that does not find that profile uses no key"
            for name in ("AWS_PROFILE", "AWS_DEFAULT_PROFILE")
            if values.get(name)
        )


def key_in(values: Mapping[str, Any]) -> AccessKey | None:
    """Return the key in the variables *values*."""
    return known_key(str(values.get(ID, "")), str(values.get(SECRET, "")))


def pair_of(key: AccessKey) -> dict[str, str]:
    """Return *key* as two variables, with its secret."""
    return {ID: key.id, SECRET: key.secret.reveal()}


def refuse_session_token(holder: str, names: Container[str]) -> None:
    """Raise RefusedError if *holder* sets a session token among *names*."""
    for token in TOKENS:
        if token in names:
            raise RefusedError(
                f"`{holder}` sets {token}, but a long-term key does not work with a session token",
                remedy="remove it, because it belongs to a temporary credential",
            )


def read_env_key(path: Path) -> AccessKey:
    """Return the access key in the environment file at *path*.

    Raises CredentialsError if there is no file or no key in it; RefusedError if other users may
    read or change the file, or if it belongs to another user, as OpenSSH does for private keys.
    """
    file = read_file(path)
    if file is None:
        raise CredentialsError(
            f"no file `{path}`", remedy="`cml-iam bootstrap apply` creates the key and writes it"
        )
    _refuse_unsafe(path, file)
    values = variables(file.data.decode("utf-8", "replace"))
    refuse_session_token(str(path), {name: value for name, value in values.items() if value})
    key = key_in(values)
    if key is None or not key.secret.reveal():
        raise CredentialsError(
            f"`{path}` has no access key: no usable {ID} and {SECRET}",
            remedy="`cml-iam bootstrap apply` delivers a key to it",
        )
    return key


def _refuse_unsafe(path: Path, file: FileState) -> None:
    if file.mode & 0o077:
        raise RefusedError(
            f"`{path}` contains a secret and is accessible to other users ({file.mode:04o})",
            remedy=f"run `chmod 600 {path}` and, if others may have read it, `cml-iam key rotate`",
        )
    if file.owner not in (os.geteuid(), 0):
        raise RefusedError(
            f"`{path}` belongs to another user, who can replace its credential",
            remedy="name a file of your own in [credentials] of the site file",
        )


_STRONGER = ("AWS_PROFILE", "AWS_DEFAULT_PROFILE", *TOKENS)


def child_environment(key: AccessKey, environment: Mapping[str, str]) -> dict[str, str]:
    """Return *environment* with *key*, and without variables that override or extend it."""
    kept = {name: value for name, value in environment.items() if name not in _STRONGER}
    return kept | pair_of(key)


def process_answer(key: AccessKey, until: datetime) -> str:
    """Return the output of a credential_process; the SDK asks again at *until*.

    https://docs.aws.amazon.com/sdkref/latest/guide/feature-process-credentials.html
    """
    return json.dumps(
        {
            "Version": 1,
            "AccessKeyId": key.id,
            "SecretAccessKey": key.secret.reveal(),
            "Expiration": until.isoformat(timespec="seconds"),
        }
    )


def export_lines(key: AccessKey) -> str:
    """Return the shell commands that set *key*."""
    lines = (f"export {name}={shlex.quote(value)}" for name, value in pair_of(key).items())
    return "\n".join(lines)
