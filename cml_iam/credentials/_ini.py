"""The text of a shared credentials file: read one profile's key, set it, leave the rest as it is.

Read as botocore reads it, with configparser: names of options in lower case, `=` or `:`, comments
in lines of their own, a continuation line is indented.
https://docs.aws.amazon.com/sdkref/latest/guide/file-format.html
"""

from __future__ import annotations

import re
from configparser import Error as ConfigError
from configparser import RawConfigParser
from typing import Final

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

    A profile that is not there is added at the end. Raises ValueError where that cannot be done.
    """
    values = {ID: key_id, SECRET: secret}
    before = sections(text)
    newline = "\r\n" if "\r\n" in text else "\n"
    made = _set(text, profile, values, newline)
    if profile not in before:
        gap = "" if not text else newline if text.endswith("\n") else newline * 2
        pair = "".join(f"{name} = {value}{newline}" for name, value in values.items())
        made = f"{text}{gap}[{profile}]{newline}{pair}"
    if sections(made) != {**before, profile: {**before.get(profile, {}), **values}}:
        raise ValueError("its layout is not understood")
    return made


def _set(text: str, profile: str, values: dict[str, str], newline: str) -> str:
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
