"""`cml-iam policy lint`: judge policies, with the place of everything that is wrong."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from cml_iam.cli._document import document_option, refuse_document
from cml_iam.cli._exit import Exit
from cml_iam.cli._output import BAD, INFO, OK, UNKNOWN, WARN, print_json, say, wants_json
from cml_iam.cli._settings import settings, shared_options
from cml_iam.cli._site import load_site
from cml_iam.errors import InputError
from cml_iam.files import decoded, open_regular, write_whole

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cml_iam.lint import Finding, Fixed, Kind
    from cml_iam.render import Profile

SYMBOL = {"error": BAD, "warning": WARN, "info": INFO}
LEVELS = ("error", "warning", "info")
JUDGED_AS: Final[Mapping[str, str]] = {
    "resource": "a resource's policy; what its service demands beyond IAM's rules is not judged",
    "trust": "a trust policy; what the role itself may do is not judged",
    "scp": "a service control policy; the accounts it is attached to are not judged",
    "rcp": "a resource control policy; the accounts it is attached to are not judged",
}
"""What is said of a policy that is not attached to a principal, by its kind."""


@click.command("lint")
@click.argument("files", nargs=-1, metavar="[FILE|DIR|-]...")
@document_option("Which policy of the site to judge when no FILE is given.")
@click.option(
    "--kind",
    type=click.Choice(["identity", "boundary", "resource", "trust", "scp", "rcp"]),
    help="What the policies are for.  [default: recognized from each document; "
    "a `boundary` or `scp` looks like `identity`]",
)
@click.option(
    "--together",
    is_flag=True,
    help="Judge all files as attached to one principal; else each by itself.",
)
@click.option(
    "--fix",
    is_flag=True,
    help="Write the corrections that are proved to be safe; then report what is left.",
)
@click.option(
    "--fail-on",
    type=click.Choice(LEVELS),
    default="warning",
    help="Least severity that makes the exit code 3.  [default: warning]",
)
@shared_options("output", "dry_run")
@click.pass_context
def lint(
    ctx: click.Context,
    files: tuple[str, ...],
    document: Profile,
    kind: Kind | None,
    together: bool,
    fix: bool,
    fail_on: str,
) -> None:
    """Report what is wrong with policies: FILEs, every .json file of a DIR, `-` for stdin.

    Without any, the site's own policy is judged.

    Each finding says where, why, what to do, and where it can a request that proves it.
    JSON that is not a policy, such as a JSON Schema, is skipped and named. Exit code 3 with
    findings of --fail-on or worse, 8 when no policy was found.

    \b
    cml-iam policy render | cml-iam policy lint -
    cml-iam policy lint trust.json
    cml-iam policy lint --kind scp guard.json
    cml-iam policy lint --together base.json extra.json
    cml-iam policy lint --fix policies/
    """  # noqa: D301 - click reads the backspace as "do not fill"
    from cml_iam.lint import Severity, lint_texts

    if fix and "-" in files:
        raise click.UsageError("--fix writes files, and `-` is none")
    if settings().dry_run and not fix:
        raise click.UsageError("--dry-run is for --fix: without it nothing is written")
    if files:
        refuse_document("the files")
    elif fix:
        raise click.UsageError("--fix writes files: name them")
    texts, skipped = sorted_out([each for given in files for each in read(given)])
    if not files:
        texts = rendered(document)
    results: list[Fixed] = []
    if fix:
        texts, results = fixed(texts, kind)
    processes = os.cpu_count() or 1
    findings = lint_texts(texts, kind=kind, together=together, processes=processes)
    if wants_json():
        answer = as_json(findings, [name for name, _ in texts])
        answer["kinds"] = kinds_of(texts, kind)
        answer["skipped"] = [{"name": name, "reason": reason} for name, reason in skipped]
        print_json(answer | (fixed_as_json(results) if fix else {}))
    else:
        show_skipped(skipped)
        show_fixed(results)
        show(findings, kinds_of(texts, kind))
    if any(each.severity >= Severity[fail_on.upper()] for each in findings):
        ctx.exit(Exit.FINDINGS)
    ctx.exit(Exit.OK if texts else Exit.UNCHECKED)


def fixed(
    texts: list[tuple[str, str]], kind: Kind | None
) -> tuple[list[tuple[str, str]], list[Fixed]]:
    """Write every safe correction into the files of *texts*; return the texts and the results.

    A dry run writes none.
    """
    from cml_iam.lint import fix_text

    results = [fix_text(text, name, kind=kind) for name, text in texts]
    for (name, text), result in zip(texts, results, strict=True):
        if result.text != text and not settings().dry_run:
            write(Path(name), result.text)
    after = [(name, result.text) for (name, _), result in zip(texts, results, strict=True)]
    return after, results


def fixed_as_json(results: Sequence[Fixed]) -> dict[str, Any]:
    """Return what was corrected and what was not, with the reason, as parsed JSON."""
    return {
        "fixed": [each.as_json() for result in results for each in result.applied],
        "not_fixed": [
            each.finding.as_json() | {"why": each.why}
            for result in results
            for each in result.suggested
        ],
    }


def write(path: Path, text: str) -> None:
    """Put *text* into a file that is there, all of it or nothing; raises InputError.

    Its mode stays, and so does a symbolic link to it.
    """
    path = path.resolve()
    try:
        mode = path.stat().st_mode & 0o7777
    except OSError as error:
        raise InputError(f"cannot write `{path}`: {error.strerror}") from None
    write_whole(path, text, mode=mode)


def show_skipped(skipped: Sequence[tuple[str, str]]) -> None:
    """Print what was given and is no policy, and what it is."""
    for name, reason in skipped:
        say(f"{WARN} {name}: skipped: {reason}")


def show_fixed(results: Sequence[Fixed]) -> None:
    """Print what was corrected, or would be, and what was not and why, each with its place."""
    mark, done = (INFO, "would correct") if settings().dry_run else (OK, "corrected")
    for result in results:
        for finding in result.applied:
            say(f"{mark} {_at(finding)}{done} {finding.rule} {finding.name}: {finding.message}")
        for each in result.suggested:
            finding = each.finding
            say(f"{WARN} {_at(finding)}not corrected {finding.rule} {finding.name}: {each.why}")
    if any(result.applied or result.suggested for result in results):
        say("")


def _at(finding: Finding) -> str:
    return f"{finding.place}: " if finding.place else ""


def rendered(document: Profile) -> list[tuple[str, str]]:
    """Return the site's policy *document* in its parts, each named by what it is."""
    from cml_iam.render import part_name, render_parts

    return [
        (f"<{part_name(document, number)}>", part.text)
        for number, part in enumerate(render_parts(load_site(), document), start=1)
    ]


def read(given: str) -> list[tuple[str, str, bool]]:
    """Return the names and texts behind an argument, and whether the file itself was named.

    Raises InputError.
    """
    if given == "-":
        return [("<stdin>", decoded(sys.stdin.buffer.read(), "<stdin>"), True)]
    path = Path(given)
    if path.is_dir():
        found = sorted(path.rglob("*.json"))
        if not found:
            raise InputError(f"no .json file in `{given}`")
        return [(str(each), text_of(each), False) for each in found]
    return [(given, text_of(path), True)]


def sorted_out(
    read: Sequence[tuple[str, str, bool]],
) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Return the policies, each a name and a text, and what is none, each a name and a reason."""
    from cml_iam.policy import other_document

    texts, skipped = [], []
    for name, text, named in read:
        try:
            other = other_document(json.loads(text), named=named)
        except (ValueError, RecursionError):
            other = None  # a finding
        if other is None:
            texts.append((name, text))
        else:
            skipped.append((name, f"it is {other}"))
    return texts, skipped


def text_of(path: Path) -> str:
    """Return the text of a file, its lines ended as they are; raises InputError."""
    return decoded(open_regular(path), str(path))


def as_json(findings: Sequence[Finding], names: list[str]) -> dict[str, Any]:
    """Return the answer as parsed JSON."""
    return {
        "files": names,
        "findings": [each.as_json() for each in findings],
        "summary": counts(findings),
    }


def counts(findings: Sequence[Finding]) -> dict[str, int]:
    """Return how many findings there are of each severity."""
    return {level: sum(1 for f in findings if f.severity.word == level) for level in LEVELS}


def kinds_of(texts: Sequence[tuple[str, str]], kind: Kind | None) -> dict[str, Kind]:
    """Return as what each of *texts* was judged: *kind*, or what the document is recognized as."""
    from cml_iam.lint import recognized_kind

    def own(text: str) -> Kind:
        try:
            return recognized_kind(json.loads(text))
        except (ValueError, RecursionError):
            return "identity"  # and a finding: nothing else was judged

    return {name: kind or own(text) for name, text in texts}


def show(findings: Sequence[Finding], kinds: Mapping[str, Kind]) -> None:
    """Print the findings, each with its remedy and its witness, and a line of summary.

    *kinds* are the policies by name. Of others than those attached to a principal it says as what
    they were judged and what was not.
    """
    from cml_iam.lint import is_complete

    for finding in findings:
        show_one(finding)
    for name, kind in kinds.items():
        if not is_complete(findings, name):
            say(f"{WARN} {name}: fix this first; until then the other rules cannot judge it")
        elif kind in JUDGED_AS:
            say(f"{INFO} {name}: judged as {JUDGED_AS[kind]}")
    say(summary(findings, len(kinds)))


def show_one(finding: Finding) -> None:
    """Print one finding: place and message; below, in this order, proof, remedy and page."""
    word = finding.severity.word
    where = f"{finding.place}: " if finding.place else ""
    label = f" [{finding.statement}]" if finding.statement else ""
    say(f"{SYMBOL[word]} {where}{word} {finding.rule} {finding.name}{label}")
    say(f"    {finding.message}")
    for number, step in enumerate(finding.witness, start=1):
        lead = f"{number}. " if len(finding.witness) > 1 else "e.g. "
        say(f"      {lead}{step.says}: {step.outcome}")
    if finding.remedy:
        say(f"    fix: {finding.remedy}")
    if finding.correction:
        guess = finding.correction.claim == "guess"
        note = "check that this is meant" if guess else "`--fix` writes it if it is proved safe"
        say(f"    suggestion ({note}):")
        for line in json.dumps(finding.correction.as_json(), indent=2).splitlines():
            say(f"      {line}")
    say(f"    see: {finding.page}")
    say("")


def summary(findings: Sequence[Finding], files: int) -> str:
    """Return the last line: how many findings of each severity, in how many policies."""
    number = counts(findings)
    what = f"{files} {'policy' if files == 1 else 'policies'}"
    if not files:
        return f"{UNKNOWN} no policy found, nothing judged"
    if not findings:
        return f"{OK} {what}: nothing found"
    parts = [
        f"{number[level]} {level}{'s' if number[level] != 1 and level != 'info' else ''}"
        for level in LEVELS
        if number[level]
    ]
    symbol = next(SYMBOL[level] for level in LEVELS if number[level])
    return f"{symbol} {what}: {', '.join(parts)}"
