"""`cml-iam policy lint`: report faults in policies with their places."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

import click

from cml_iam.cli._exit import judged
from cml_iam.cli._files import Given, parameter_option, read_given
from cml_iam.cli._output import (
    INFO,
    OK,
    SEVERITY,
    UNKNOWN,
    WARN,
    answer,
    say,
    say_lines,
    terminal_width,
)
from cml_iam.cli._settings import settings, shared_options
from cml_iam.cli._site import document_option, load_site, refuse_document, site_with
from cml_iam.files import write_whole

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cml_iam.errors import Problem
    from cml_iam.lint import Finding, Fixed, Kind
    from cml_iam.render import Profile
    from cml_iam.sources import Subject

LEVELS = ("error", "warning", "info")

together_option = click.option(
    "--together", is_flag=True, help="Check all policies together, as attached to one principal."
)
fail_on_option = click.option(
    "--fail-on",
    type=click.Choice(LEVELS),
    default="warning",
    show_default=True,
    help="Exit with 3 on findings of this severity or worse.",
)


@click.argument("files", nargs=-1, metavar="[FILE|DIR|-]...")
@document_option("The site's policy to check if no FILES are given.")
@click.option(
    "--kind",
    type=click.Choice(["identity", "boundary", "resource", "trust", "scp", "rcp"]),
    help="Kind of the policies.  [default: detected for each document; a `boundary` or "
    "`scp` looks like `identity`]",
)
@together_option
@click.option(
    "--fix",
    is_flag=True,
    help="Apply the corrections that are proved safe, then report what is left.",
)
@fail_on_option
@parameter_option
@shared_options("site", "output", "verbose", "dry_run")
def lint(
    files: tuple[str, ...],
    document: Profile,
    kind: Kind | None,
    together: bool,
    fix: bool,
    fail_on: str,
) -> None:
    """Report faults in policies: FILEs, the JSON and YAML files of a DIR, or `-` for stdin.

    Without arguments, checks the site's own policy. Each finding gives the place of the fault, the
    reason, the remedy and, if possible, a request that proves it.

    FILEs may also be CloudFormation templates and Terraform plans (`terraform show -json`); every
    policy in them is checked. JSON that is not a policy, such as a JSON Schema, is skipped and
    listed.

    Exits with 3 on findings of --fail-on or worse, and with 8 when no policy was found or part of
    one was not checked.

    Examples:
      cml-iam policy render | cml-iam policy lint -
      cml-iam policy lint trust.json
      cml-iam policy lint --kind scp guard.json
      cml-iam policy lint --together base.json extra.json
      cml-iam policy lint template.yaml
      cml-iam policy lint --fix policies/
    """
    from cml_iam.lint import Severity
    from cml_iam.sources import plain_subject

    if fix and "-" in files:
        raise click.UsageError("--fix writes to files, and `-` is not a file")
    if settings().dry_run and not fix:
        raise click.UsageError("--dry-run needs --fix; without --fix nothing is written")
    if files:
        refuse_document("the files")
    elif fix:
        raise click.UsageError("--fix writes to files: name them")
    given = read_given(files)
    texts = given.texts if files else rendered(document)
    results: list[Fixed] = []
    if fix:
        texts, results = fixed(texts, kind)
    subjects = [*(plain_subject(name, text) for name, text in texts), *given.kept]
    subjects = [subject for subject in subjects if subject.readings]
    kinds = kinds_of(subjects, kind)
    findings = judged_all(subjects, kinds, attached=together, every=kind is not None)
    failed = any(finding.severity >= Severity[fail_on.upper()] for finding in findings)

    def show_all() -> None:
        show_skipped(given.skipped)
        show_fixed(results)
        if fix and given.kept:
            say(f"{WARN} --fix corrects policies in JSON; templates and plans stay as they are")
        show(findings, kinds, given.open)

    answer(
        as_json(findings, kinds, given) | (fixed_as_json(results) if fix else {}),
        show_all,
        judged(findings=failed, unchecked=bool(given.open) or not kinds),
    )


def judged_all(
    subjects: Sequence[Subject], kinds: Mapping[str, Kind], *, attached: bool, every: bool
) -> list[Finding]:
    """Judge every policy as its kind, in order.

    With *attached*, policies of one kind are judged together: only identity-based ones or, with
    *every*, all kinds.
    """
    from cml_iam.lint import lint_subjects

    groups: dict[Kind, list[Subject]] = {}
    for subject in subjects:
        groups.setdefault(kinds[subject.name], []).append(subject)
    processes = os.cpu_count() or 1
    found = [
        finding
        for kind, group in groups.items()
        for finding in lint_subjects(
            group,
            kind=kind,
            together=attached and (every or kind == "identity"),
            processes=processes,
        )
    ]
    files = [subject.start.file if subject.start else subject.name for subject in subjects]
    order = {file: number for number, file in reversed(list(enumerate(files)))}

    def position(finding: Finding) -> tuple[int, int, int]:
        at = finding.place
        return (order.get(at.file, 0), at.line, at.column) if at else (0, 0, 0)

    return sorted(found, key=position)


def rendered(document: Profile) -> list[tuple[str, str]]:
    """Return the site's policy *document* in its parts, each with its name."""
    from cml_iam.render import part_name, render_parts

    return [
        (f"<{part_name(document, number)}>", part.text)
        for number, part in enumerate(render_parts(load_site(), document), start=1)
    ]


def fixed(
    texts: list[tuple[str, str]], kind: Kind | None
) -> tuple[list[tuple[str, str]], list[Fixed]]:
    """Write every safe correction into the files of *texts*; return texts and results.

    A dry run writes nothing.
    """
    from cml_iam.lint import fix_text

    results = [fix_text(text, name, kind=kind) for name, text in texts]
    for (name, text), result in zip(texts, results, strict=True):
        if result.text != text and not settings().dry_run:
            write(Path(name), result.text)
    after = [(name, result.text) for (name, _), result in zip(texts, results, strict=True)]
    return after, results


def fixed_as_json(results: Sequence[Fixed]) -> dict[str, Any]:
    """Return what was corrected, and what was not with the reason, as parsed JSON."""
    return {
        "fixed": [finding for result in results for finding in result.applied],
        "not_fixed": [
            suggestion.finding.as_json() | {"why": suggestion.why}
            for result in results
            for suggestion in result.suggested
        ],
    }


def write(path: Path, text: str) -> None:
    """Overwrite an existing file, completely or not at all.

    Keeps its mode, and a symbolic link to it. Raises InputError and OSError.
    """
    path = path.resolve()
    write_whole(path, text, mode=path.stat().st_mode & 0o7777)


def show_skipped(skipped: Sequence[tuple[str, str]]) -> None:
    """Print the inputs that are not policies, and what they are."""
    say_lines(f"{WARN} {name}: skipped: {reason}" for name, reason in skipped)


def show_fixed(results: Sequence[Fixed]) -> None:
    """Print each correction with its place: made, proposed, or not made with the reason."""
    mark, done = (INFO, "would correct") if settings().dry_run else (OK, "corrected")
    for result in results:
        for finding in result.applied:
            say(f"{mark} {_at(finding)}{done} {finding.rule} {finding.name}: {finding.message}")
        for suggestion in result.suggested:
            finding = suggestion.finding
            say(
                f"{WARN} {_at(finding)}not corrected {finding.rule} {finding.name}: "
                f"{suggestion.why}"
            )
    if any(result.applied or result.suggested for result in results):
        say("")


def _at(finding: Finding) -> str:
    return f"{finding.place}: " if finding.place else ""


def problem_as_json(problem: Problem) -> dict[str, Any]:
    """Return what is not judged, and its place, as parsed JSON."""
    place = problem.place
    return {
        "message": problem.message,
        "file": place.file if place else None,
        "line": place.line or None if place else None,
        "column": place.column or None if place else None,
    }


def as_json(findings: Sequence[Finding], kinds: Mapping[str, Kind], given: Given) -> dict[str, Any]:
    """Return the result as JSON values."""
    return {
        "files": [*kinds],
        "findings": findings,
        "summary": counts(findings),
        "kinds": kinds,
        "skipped": [{"name": name, "reason": reason} for name, reason in given.skipped],
        "not_judged": [problem_as_json(problem) for problem in given.open],
    }


def counts(findings: Sequence[Finding]) -> dict[str, int]:
    """Return how many findings there are of each severity."""
    return {level: sum(1 for f in findings if f.severity.word == level) for level in LEVELS}


def kinds_of(subjects: Sequence[Subject], kind: Kind | None) -> dict[str, Kind]:
    """Return the kind of each policy: from its file, otherwise *kind*.

    Without *kind*, the site file (`[lint] kinds`) or the document determines it.
    """
    from cml_iam.lint import recognized_kind

    site = site_with("lint") if kind is None else None
    patterns: Mapping[str, Any] = site.kinds if site else {}

    def mapped(subject: Subject) -> Kind | None:
        name = subject.start.file if subject.start else subject.name
        return next((of for glob, of in patterns.items() if PurePath(name).match(glob)), None)

    def own(subject: Subject) -> Kind:
        if subject.kind and not (kind == "boundary" and subject.kind == "identity"):
            return subject.kind
        try:
            given = kind or mapped(subject)
            return given or recognized_kind(json.loads(subject.readings[0].text))
        except (ValueError, RecursionError):
            return "identity"  # and a finding: nothing else was judged

    return {each.name: own(each) for each in subjects if each.readings}


def show(findings: Sequence[Finding], kinds: Mapping[str, Kind], left: Sequence[Problem]) -> None:
    """Print the findings, each with remedy and witness, what is *left* open, and a summary.

    *kinds* has the kind of each policy by name. For kinds that are not attached to a principal,
    also prints how they were judged.
    """
    from cml_iam.lint import JUDGED_AS, is_complete

    for finding, folded in fold(findings):
        show_one(finding, () if settings().verbose else folded)
        for each in folded if settings().verbose else ():
            show_one(each)
    say_lines(f"{UNKNOWN} {problem}" for problem in left)
    files = [each.place.file for each in findings if each.place]
    for name in dict.fromkeys((*kinds, *files)):
        if not is_complete(findings, name):
            say(f"{WARN} {name}: fix this first; until then the other rules cannot judge it")
        elif kinds.get(name) in JUDGED_AS:
            say(f"{INFO} {name}: judged as {JUDGED_AS[kinds[name]]}")
    say(summary(findings, len(kinds), len(left)))


def fold(findings: Sequence[Finding]) -> list[tuple[Finding, list[Finding]]]:
    """Return the findings to show, each with those that say the same or matter less.

    That is the worst of each place, with the less severe ones of that place, and the worst of
    those that say of one statement that it allows too much. Others of equal severity are shown:
    their causes may differ.
    """
    groups: dict[object, list[Finding]] = {}
    for finding in findings:
        file = finding.place.file if finding.place else ""
        wide = _cause(finding) == "statement" and finding.statement
        where = (file, finding.statement) if wide else finding.place or id(finding)
        groups.setdefault(where, []).append(finding)
    shown: list[tuple[Finding, list[Finding]]] = []
    for together in groups.values():
        first = max(together, key=lambda each: each.severity)
        others = [each for each in together if each is not first]
        folded = [e for e in others if e.severity < first.severity or _same_cause(e, first)]
        shown += [(first, folded), *((other, []) for other in others if other not in folded)]
    return shown


def _same_cause(one: Finding, other: Finding) -> bool:
    cause = _cause(one)
    return cause is not None and cause == _cause(other) and one.rule != other.rule


def _cause(finding: Finding) -> str | None:
    from cml_iam.lint import lint_rules

    return next((rule.cause for rule in lint_rules() if rule.id == finding.rule), None)


def show_one(finding: Finding, folded: Sequence[Finding] = ()) -> None:
    """Print one finding: place and message, then proof, remedy and page.

    For the findings *folded* into it, prints only the rules.
    """
    from cml_iam.report import Item, Request
    from cml_iam.report.text import item_lines  # a clean policy needs none of it

    word = finding.severity.word
    where = f"{finding.place}: " if finding.place else ""
    label = f" [{finding.statement}]" if finding.statement else ""
    say(f"{SEVERITY[word]} {where}{word} {finding.rule} {finding.name}{label}")
    requests = tuple(Request(step.says, outcome=step.outcome) for step in finding.witness)
    item = Item(
        SEVERITY[word],
        "plain",
        word,
        finding.rule,
        finding.name,
        message=finding.message,
        requests=requests,
        remedy=finding.remedy,
    )
    say_lines(item_lines(item, terminal_width() or sys.maxsize))
    if finding.correction:
        guess = finding.correction.claim == "guess"
        note = "check that this is intended" if guess else "`--fix` writes it if it is proved safe"
        say(f"    suggestion ({note}):")
        text = json.dumps(finding.correction.as_json(), indent=2)
        say_lines(f"      {line}" for line in text.splitlines())
    say(f"    see: {finding.page}")
    if folded:
        names = ", ".join(f"{each.rule} {each.name} ({each.severity.word})" for each in folded)
        same = all(_same_cause(each, finding) for each in folded)
        what = "the same" if same else "another fault at this place"
        rules = "1 more rule reports" if len(folded) == 1 else f"{len(folded)} more rules report"
        say(f"    and {rules} {what}: {names}; -v shows each")
    say("")


def summary(findings: Sequence[Finding], files: int, left: int = 0) -> str:
    """Return the last line: how many findings of each severity, in how many policies.

    *left* is how many parts are not judged.
    """
    number = counts(findings)
    what = f"{files} {'policy' if files == 1 else 'policies'}"
    if not files:
        return f"{UNKNOWN} no policy found, nothing judged"
    rest = f"; {left} part{'s' if left > 1 else ''} not judged" if left else ""
    if not findings:
        return f"{UNKNOWN if left else OK} {what}: nothing found{rest}"
    parts = [
        f"{number[level]} {level}{'s' if number[level] != 1 and level != 'info' else ''}"
        for level in LEVELS
        if number[level]
    ]
    symbol = next(SEVERITY[level] for level in LEVELS if number[level])
    return f"{symbol} {what}: {', '.join(parts)}{rest}"
