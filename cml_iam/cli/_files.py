"""Read the files that a command gets as arguments."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from cml_iam.cli._options import FILE, option, pairs, repeatable
from cml_iam.cli._output import INFO, note
from cml_iam.cli._site import DEFAULT_SITE, find_site, has_site, load_site
from cml_iam.errors import DocumentError, InputError, Problem, UnsupportedError
from cml_iam.files import decoded, open_regular, parse_json, regular_text

if TYPE_CHECKING:
    from cml_iam.policy import PolicyDocument
    from cml_iam.render import Profile
    from cml_iam.sources import Kept, Source, Subject

_PARAMETERS: Final = "cml_iam.parameters"

MOST = 512 << 20
"""The most bytes of an account file, read into memory; 10,000 principals take 15 MB."""

FORMS = (".json", ".yaml", ".yml")
"""Suffixes of the files in a folder that are searched for policies."""


def read_text(path: Path) -> str:
    """Return the text of *path*, or of standard input for `-`; raises InputError."""
    return _stdin() if str(path) == "-" else regular_text(path)


def read_json(path: Path) -> Any:
    """Return the JSON value in *path*, or on standard input for `-`; raises InputError."""
    text = _stdin() if str(path) == "-" else decoded(open_regular(path, MOST), str(path))
    try:
        return parse_json(text)
    except ValueError as error:
        raise InputError(f"`{path}` is not JSON: {error}") from None


def read_policy(path: Path) -> PolicyDocument:
    """Return the only policy document in *path*.

    Raises InputError, DocumentError, and UnsupportedError for a template that leaves parts open.
    """
    from cml_iam.policy import PolicyDocument

    read = _read(path)
    if isinstance(read, PolicyDocument):
        return read
    attached = _attached(read)
    if len(attached) != 1:
        raise _several(path, read)
    return _document(attached[0])


def read_documents(paths: Sequence[Path], document: Profile) -> tuple[PolicyDocument, ...]:
    """Return the policies in *paths*, or without any the site's policy *document* in its parts.

    Raises as `read_policies` does, and InputError if there is no site file either.
    """
    if paths:
        return tuple(policy for path in paths for policy in read_policies(path))
    from cml_iam.render import render_parts

    if not has_site():
        raise InputError(
            f"no policy given, and no site file `{DEFAULT_SITE}` to render one from",
            remedy="name the files of the policies, or write a site file with `cml-iam init`",
        )
    return tuple(part.document for part in render_parts(load_site(), document))


def read_policies(path: Path) -> tuple[PolicyDocument, ...]:
    """Return the policy documents in *path* attached to principals, or the only one.

    A folder stands for the files in it. Raises as `read_policy` does.
    """
    from cml_iam.policy import PolicyDocument

    if path.is_dir():
        return tuple(document for file in policy_files(path) for document in read_policies(file))
    read = _read(path)
    if isinstance(read, PolicyDocument):
        return (read,)
    attached = _attached(read)
    if not attached:
        raise _several(path, read)
    if len(read) > 1:
        note(f"{INFO} {path}: judged together: {', '.join(kept.label for kept in attached)}")
    return tuple(map(_document, attached))


def policy_files(folder: Path) -> list[Path]:
    """Return the files in *folder*, at any depth, that may contain policies: JSON, and some YAML.

    Raises InputError if there is none.
    """
    from cml_iam.sources import may_hold_policy

    files = [
        file
        for file in sorted(folder.rglob("*"))
        if file.suffix in FORMS and (file.suffix == ".json" or may_hold_policy(regular_text(file)))
    ]
    if not files:
        raise InputError(f"no .json file and no YAML with a policy in `{folder}`")
    return files


def _read(path: Path) -> PolicyDocument | Sequence[Kept]:
    """Return the policies in *path*; `FILE#NAME` selects one of them."""
    from cml_iam.policy import parse_policy
    from cml_iam.sources import read_source

    file, chosen = path, ""
    if "#" in str(path) and not path.exists():
        name, _, chosen = str(path).partition("#")
        file = Path(name)
    text = read_text(file)
    source = read_source(text, str(file))
    if source is None:
        if chosen:
            raise InputError(f"`{file}` holds a single policy: omit `#{chosen}`")
        return parse_policy(text, str(file))
    if not chosen:
        return _all(source, path)
    kept = [
        policy
        for policy in source.policies
        if chosen in (policy.label, policy.label.removeprefix("Resources."))
    ]
    if not kept:
        raise _several(file, source.policies, f"`{file}` has no policy `{chosen}`")
    return kept


def _all(source: Source, path: Path) -> Sequence[Kept]:
    if source.unread:
        lines = "; ".join(map(str, source.unread))
        remedy = f"name one policy: {path}#NAME" if source.policies else None
        raise UnsupportedError(
            f"some policies in `{path}` could not be read: {lines}", remedy=remedy
        )
    if not source.policies:
        raise InputError(f"no policy in `{path}`: it is {source.form}")
    return source.policies


def _attached(read: Sequence[Kept]) -> Sequence[Kept]:
    """Return those of several policies that are attached to principals, or the only one."""
    from cml_iam.lint import recognized_kind

    if len(read) == 1:
        return read
    kinds = [kept.kind or recognized_kind(kept.written.value) for kept in read]
    return [kept for kept, kind in zip(read, kinds, strict=True) if kind == "identity"]


def _document(kept: Kept) -> PolicyDocument:
    # Loaded here, because most files are plain JSON and do not need it.
    from cml_iam.sources import document_of, pseudo_of

    site = find_site() if kept.template else None
    pseudo = pseudo_of(site.account, site.partition) if site else {}
    return document_of(kept, {**parameters(), **pseudo})


boundary_option = option("--boundary FILE", "Permissions boundary of the principal.", type=FILE)


def _store_parameters(
    context: click.Context, _parameter: click.Parameter, values: Sequence[str]
) -> None:
    context.meta[_PARAMETERS] = dict(pairs(values, "the value of a parameter", "NAME=VALUE"))


parameter_option = repeatable(
    "--parameter NAME=VALUE",
    "Value of a CloudFormation template's parameter.",
    callback=_store_parameters,
    expose_value=False,
)
"""The option for the values of template parameters; see `parameters()`."""


def parameters() -> Mapping[str, str]:
    """Return the values of template parameters given to the running command."""
    given: Mapping[str, str] = click.get_current_context().meta.get(_PARAMETERS, {})
    return given


@dataclass(frozen=True, slots=True)
class Given:
    """The input: *texts* of policies by name, policies *kept* in other files, and everything else.

    *skipped* are inputs that are not policies, with the reason; *unread* are inputs that may be
    policies but cannot be read.
    """

    texts: list[tuple[str, str]]
    kept: list[Subject]
    skipped: list[tuple[str, str]]
    unread: list[Problem]

    @property
    def open(self) -> list[Problem]:
        """Everything that lint does not judge."""
        return [*self.unread, *(problem for subject in self.kept for problem in subject.open)]


def read_given(arguments: Sequence[str]) -> Given:
    """Return what files, folders and `-` hold, each policy with its text as it is written.

    Raises InputError, and DocumentError for YAML that was named; in a folder, it is unread.
    """
    from cml_iam.sources import subjects_in

    inputs = Given([], [], [], [])
    for name, text, named in chain.from_iterable(map(_texts, arguments)):
        try:
            content = subjects_in(text, name, named=named, parameters=parameters())
        except DocumentError as error:
            if named:
                raise
            inputs.unread.extend(error.problems)
            continue
        if content is None:
            inputs.texts.append((name, text))
            continue
        inputs.kept.extend(subject for _, subject in content.policies)
        inputs.unread.extend(content.unread)
        if content.skipped:
            inputs.skipped.append((name, content.skipped))
    return inputs


def _texts(argument: str) -> list[tuple[str, str, bool]]:
    """Return names, texts with their line endings, and whether the file itself was named."""
    if argument == "-":
        return [("<stdin>", _stdin(), True)]
    path = Path(argument)
    if path.is_dir():
        return [
            (str(file), decoded(open_regular(file), str(file)), False)
            for file in policy_files(path)
        ]
    return [(argument, decoded(open_regular(path), argument), True)]


def _stdin() -> str:
    return decoded(sys.stdin.buffer.read(), "<stdin>")


def _several(path: Path, kept: Sequence[Kept], message: str = "") -> InputError:
    labels = ", ".join(f"`{policy.label}`" for policy in kept)
    return InputError(
        message or f"`{path}` holds more than one policy",
        remedy=f"name one, as {path}#NAME; there are {labels}",
    )
