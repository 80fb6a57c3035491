"""Writes a man page for cml-iam and one for each command group: `python docs/site/man.py FOLDER`.

The text is that of `--help`; exit codes and environment are those of `cml-iam help`. The hooks of
the site use the same functions.
"""

from __future__ import annotations

import re
import sys
from datetime import UTC, datetime
from inspect import cleandoc
from os import environ
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cml_iam import __version__
from cml_iam.cli._exit import MEANING
from cml_iam.cli._main import cli
from cml_iam.cli._options import Heading, sections
from cml_iam.cli._topics import ENVIRONMENT
from cml_iam.cli.groups import leaves

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

COMMON = frozenset(each.name or "" for each in cli.get_params(cli.context_class(cli)))
"""The options that most commands share: listed once, on the page of all commands."""


def groups() -> dict[str, dict[str, click.Command]]:
    """Return the commands by the first word after `cml-iam`, each with the words that call it."""
    by_word: dict[str, dict[str, click.Command]] = {}
    for words, _, command in leaves(cli):
        by_word.setdefault(words.split()[0], {})[f"cml-iam {words}"] = command
    return by_word


def usage(words: str, command: click.Command) -> str:
    """Return how *command* is called."""
    context = click.Context(command, info_name=words)
    return " ".join((words, *command.collect_usage_pieces(context)))


def blocks(command: click.Command) -> Iterator[tuple[str, bool]]:
    """Yield the paragraphs of the help of *command*, and whether each keeps its lines."""
    for block in re.split(r"\n\s*\n", cleandoc(command.help or "")):
        kept = block.startswith("\b")
        yield (block.split("\n", 1)[1] if kept else block), kept


def main(folder: Path) -> None:
    """Write every page into *folder*."""
    folder.mkdir(parents=True, exist_ok=True)
    by_word = groups()
    for name, commands in by_word.items():
        text = "".join(_group_page(name, commands))
        (folder / f"cml-iam-{name}.1").write_text(text, "utf-8")
    (folder / "cml-iam.1").write_text("".join(_root_page(tuple(by_word))), "utf-8")


def _group_page(name: str, commands: dict[str, click.Command]) -> Iterator[str]:
    yield _head(f"cml-iam-{name}", cli.lazy[name][1])
    yield ".SH SYNOPSIS\n"
    for words, command in commands.items():
        yield f".B {_roff(usage(words, command))}\n.br\n"
    yield ".SH COMMANDS\n"
    for words, command in commands.items():
        yield f".SS {_roff(words.removeprefix('cml-iam '))}\n"
        for text, kept in blocks(command):
            yield f".PP\n.nf\n{_roff(text)}\n.fi\n" if kept else f".PP\n{_roff(text)}\n"
        yield _options(command, besides=COMMON)
    yield ".SH COMMON OPTIONS\nMost commands take these; --help of a command lists its own.\n"
    yield _options(cli)
    yield ".SH SEE ALSO\n.BR cml-iam (1)\n"


def _root_page(names: tuple[str, ...]) -> Iterator[str]:
    yield _head("cml-iam", cli.help or "")
    yield f".SH SYNOPSIS\n.B {_roff(usage('cml-iam', cli))}\n"
    yield ".SH COMMANDS\n" + _listed((leaf.words, leaf.summary) for leaf in leaves(cli))
    yield ".SH OPTIONS\n" + _options(cli)
    yield ".SH EXIT STATUS\n" + _listed((str(int(code)), text) for code, text in MEANING.items())
    yield f".SH ENVIRONMENT\n.nf\n{_roff(ENVIRONMENT)}.fi\n"
    pages = ",\n".join(f".BR cml-iam-{name} (1)" for name in names)
    yield f".SH SEE ALSO\n{pages}\n"


def _head(name: str, about: str) -> str:
    epoch = environ.get("SOURCE_DATE_EPOCH")
    day = datetime.fromtimestamp(int(epoch), UTC) if epoch else datetime.now(UTC)
    title = f'.TH {name.upper()} 1 {day:%Y-%m-%d} "cml-iam {__version__}" "User Commands"\n.nh\n'
    phrase = f"{about[:1].lower()}{about[1:]}".rstrip(".")
    return f"{title}.SH NAME\n{name} \\- {_roff(phrase)}\n"


def _options(command: click.Command, *, besides: Collection[str] = ()) -> str:
    """Return the options of *command*, the shared ones under their headings."""
    return "".join(
        ("" if heading is Heading.OWN else f".PP\n.I {heading}\n") + _listed(rows)
        for heading, rows in sections(command, besides=besides).items()
    )


def _listed(pairs: Iterable[tuple[str, str]]) -> str:
    return "".join(f".TP\n.B {_roff(term)}\n{_roff(text)}\n" for term, text in pairs)


def _roff(text: str) -> str:
    """Return *text* as roff prints it: no escape, no request, hyphens as they are typed."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-").replace('"', "\\(dq")
    return re.sub(r"^(?=[.'])", r"\\&", escaped, flags=re.MULTILINE)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
