"""The files of an audit: policies, Markdown that contains policies, and texts with secrets."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import starmap
from pathlib import Path
from typing import Any, Final, NamedTuple

from cml_iam.audit import Spot
from cml_iam.errors import DocumentError, InputError, Problem
from cml_iam.files import LARGEST, decoded, open_regular
from cml_iam.lint import Kind, recognized_kind
from cml_iam.policy import is_statement, other_document
from cml_iam.render import DOCUMENTS, Profile
from cml_iam.site import Site
from cml_iam.sources import Kept, Subject, may_hold_policy, subjects_in

TEXTS: Final = frozenset(
    {".md", ".env", ".txt", ".toml", ".ini", ".cfg", ".yaml", ".yml", ".sh", ".tf", ".tfvars", ""}
)
"""Suffixes of the files in a folder that are searched for secrets, besides .json."""

_READ: Final = (".json", ".md", ".markdown")
"""Suffixes of the files that are searched for policies."""

PASSED_OVER: Final = frozenset({".git", ".venv", "node_modules", "__pycache__", ".terraform"})
MOST_BYTES: Final = 1_000_000
"""The maximum size in bytes of a file in a folder; a larger one is not hand-written text."""

_BLOCK: Final = re.compile(r"^([ \t]*)```json[^\n]*\n(.*?)^\1```", re.MULTILINE | re.DOTALL)
_OPENED, _CLOSED = '{"Version": "2012-10-17", "Statement": [', "]}"
_PART: Final = re.compile(r"(.+)-[0-9]+")


_TERRAFORM: Final = (
    "policies in Terraform code are not judged; pass the plan: `terraform show -json`"
)
_HAS_POLICY: Final = re.compile(r"aws_iam_|^\s*['\"]?Effect['\"]?\s*=", re.MULTILINE)
"""Words that every policy in Terraform code contains."""


class InputFile(NamedTuple):
    """A file: its *name* as given, its *text*, and the *sha256* of its bytes.

    *named* is True if the file itself was given, and False if it was found in a folder. *unread*
    says why it was not read, in which case there is no text.
    """

    name: str
    text: str
    sha256: str
    named: bool = True
    unread: str | None = None


class Policy(NamedTuple):
    """A policy in a file: *text* has it at its place in the file; *role* is its name in the site.

    *role* is a name of `render.DOCUMENTS`, `policy` for a file with the name of the site's policy,
    or None. *snippet* means that the source is a single statement.

    *kept* is the policy's place in a template or plan, and *subject* is the part that is judged;
    then *text* is that part written out.
    """

    name: str
    text: str
    kind: Kind
    role: str | None
    snippet: bool = False
    kept: Kept | None = None
    subject: Subject | None = None

    @property
    def file(self) -> str:
        """The file that contains the policy."""
        return self.kept.file if self.kept else self.name

    @property
    def open(self) -> tuple[Problem, ...]:
        """The parts of the policy that are not judged, because its file leaves them open."""
        return self.subject.open if self.subject else ()

    def spot(self, spot: Spot) -> Spot:
        """Translate *spot* from *text* to the file: by line, or by the resource it is in."""
        if self.kept is None or self.subject is None:
            return spot
        if spot.line is None:
            return replace(spot, file=self.file, resource=self.kept.label or None)
        return replace(spot, file=self.file)


class Content(NamedTuple):
    """The *policies* of a file, why it was *skipped*, and *unread* parts that may be policies."""

    policies: tuple[Policy, ...] = ()
    skipped: str | None = None
    unread: tuple[Problem, ...] = ()


def read_files(paths: Iterable[Path]) -> tuple[InputFile, ...]:
    """Read *paths*, files and folders; raises InputError if one cannot be read.

    In a folder, at any depth: .json files, and texts that could contain a secret. Symbolic links in
    it, and a folder without such a file, are returned as not read.
    """
    read: dict[str, InputFile] = {}
    for path in paths:
        if path.is_dir():
            met = list(filter(None, map(_met, sorted(_files(path)))))
            for file in met or [_not_read(path, "no file in it is read")]:
                read.setdefault(file.name, file)
        else:
            read[str(path)] = _given(path, open_regular(path))
    return tuple(read.values())


def content_of(
    file: InputFile, site: Site | None, *, alone: bool, parameters: Mapping[str, str]
) -> Content:
    """Return the policies of a file; *alone*: it is the only file given.

    *parameters* are the values of templates' parameters. In Markdown, each JSON block is one
    policy; a single statement in a block is read as a policy with that statement, because snippets
    are published in that form.
    """
    if file.unread is not None:
        return Content(skipped=file.unread)
    if file.name.endswith((".md", ".markdown")):
        return _markdown(file)
    named, plain = alone and file.named, file.name.endswith(".json")
    if file.name.endswith((".yaml", ".yml")) and not (named or may_hold_policy(file.text)):
        return Content()
    account = (site.account, site.partition) if site else None
    try:
        content = subjects_in(
            file.text,
            file.name,
            named=named,
            plain=plain,
            account=account,
            parameters=parameters,
        )
    except DocumentError as error:
        return Content(unread=error.problems)
    if content is not None:
        policies = tuple(starmap(_kept, content.policies))
        return Content(policies, content.skipped, content.unread)
    if plain:
        return Content((_plain(file, site),))
    terraform = file.name.endswith(".tf") and _HAS_POLICY.search(file.text)
    return Content(skipped=_TERRAFORM if terraform else None)


def _plain(file: InputFile, site: Site | None) -> Policy:
    try:
        value = json.loads(file.text)
    except (ValueError, RecursionError):
        value = None
    role = _role(Path(file.name).stem, site)
    return Policy(file.name, file.text, _kind(value, role), role)


def _kept(policy: Kept, subject: Subject) -> Policy:
    text = subject.readings[0].text if subject.readings else "{}"
    kind = policy.kind or _kind(json.loads(text), None)
    return Policy(policy.name, text, kind, None, kept=policy, subject=subject)


def _files(folder: Path) -> Iterator[Path]:
    for path in folder.iterdir():
        if path.name in PASSED_OVER:
            continue
        if path.is_symlink():
            if path.suffix in _READ or path.is_dir():
                yield path
        elif path.is_dir():
            yield from _files(path)
        elif path.suffix in TEXTS or path.suffix == ".json" or path.name.startswith(".env"):
            yield path


def _met(path: Path) -> InputFile | None:
    """Return a file found in a folder; None if it has no suffix and is not text."""
    if path.is_symlink():
        return _not_read(path, "it is a symbolic link, which is not followed")
    limit = LARGEST if path.suffix == ".json" else MOST_BYTES
    try:
        return _given(path, open_regular(path, limit), named=False)
    except InputError as error:
        if path.suffix == ".json":
            raise
        return _not_read(path, error.message) if path.suffix else None


def _given(path: Path, data: bytes, *, named: bool = True) -> InputFile:
    text = decoded(data, str(path))
    return InputFile(str(path), text, hashlib.sha256(data).hexdigest(), named)


def _not_read(path: Path, reason: str) -> InputFile:
    return InputFile(str(path), "", "", named=False, unread=reason)


def _markdown(file: InputFile) -> Content:
    policies: list[Policy] = []
    broken: list[int] = []
    for match in _BLOCK.finditer(file.text):
        try:
            value = json.loads(match[2])
        except (ValueError, RecursionError):
            if '"Effect"' in match[2]:
                broken.append(file.text.count("\n", 0, match.start()) + 1)
            continue
        policies += _block(file, match, value)
    lines = ", ".join(map(str, broken))
    reason = f"JSON that looks like a policy cannot be read, in line {lines}" if broken else None
    return Content(tuple(policies), reason)


def _block(file: InputFile, match: re.Match[str], value: Any) -> Iterator[Policy]:
    # The lines before keep their number, so that places are those in the file.
    before = "\n" * (file.text.count("\n", 0, match.start(2)) - 1)
    if is_statement(value):
        text = f"{before}{_OPENED}\n{match[2]}{_CLOSED}"
        yield Policy(file.name, text, _kind(value, None), None, snippet=True)
    elif other_document(value, named=False) is None:
        yield Policy(file.name, f"{before}\n{match[2]}", _kind(value, None), None)


def _kind(value: Any, role: str | None) -> Kind:
    """Return the type of a policy: from its name, otherwise as lint recognizes it."""
    if role in DOCUMENTS:
        return DOCUMENTS[role].kind
    return recognized_kind(value)


def _role(stem: str, site: Site | None) -> str | None:
    roles = {name: name for name in DOCUMENTS}
    if site is not None:
        roles = {site.policy: "policy", site.boundary: "boundary", site.guard: "guard"} | roles
    part = _PART.fullmatch(stem)  # a policy that was split has a number at the end
    return roles.get(stem) or (roles.get(part[1]) if part else None)


def in_force(policies: Sequence[Policy], profile: Profile) -> list[Policy]:
    """Return the files with the manager's policy: those named like it, or the only whole one."""
    for role in ("policy", profile, "hardened", "base"):
        named = [policy for policy in policies if policy.role == role]
        if named:
            return [*named, *(policy for policy in policies if policy.role == "guard")]
    others = [
        policy
        for policy in policies
        if policy.kind == "identity" and policy.role is None and not policy.snippet
    ]
    return others if len(others) == 1 else []
