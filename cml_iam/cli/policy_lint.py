"""`cml-iam policy lint`: report faults in policies with their places."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

import click

from cml_iam import lint as room
from cml_iam.cli._exit import judged
from cml_iam.cli._files import Given, parameter_option, read_given
from cml_iam.cli._options import option, settings, shared_options
from cml_iam.cli._output import INFO, OK, SEVERITY, UNKNOWN, WARN, answer, terminal_width
from cml_iam.cli._site import document_option, load_site, refuse_document, site_with
from cml_iam.errors import Problem
from cml_iam.files import write_whole

if TYPE_CHECKING:
    from cml_iam.lint import Finding, Fixed, Kind
    from cml_iam.render import Profile
    from cml_iam.sources import Subject

LEVELS = ("error", "warning", "info")

together_option = option("--together", "Check all policies together, as attached to one principal.")
fail_on_option = option(
    "--fail-on",
    "Exit with 3 on findings of this severity or worse.",
    type=click.Choice(LEVELS),
    default="warning",
)


@click.argument("files", nargs=-1, metavar="[FILE|DIR|-]...")
@document_option("The site's policy to check if no FILES are given.")
@option(
    "--kind",
    "Kind of the policies.  [default: detected for each document; a `boundary` or `scp` "
    "looks like `identity`]",
    type=click.Choice(room.KINDS),
)
@together_option
@option("--fix", "Apply the corrections that are proved safe, then report what is left.")
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
    texts = given.texts if files else _rendered(document)
    fixes: list[Fixed] = []
    if fix:
        fixes = [_fixed(name, text, kind) for name, text in texts]
        texts = [(name, fixed.text) for (name, _), fixed in zip(texts, fixes, strict=True)]
    subjects = [*(plain_subject(name, text) for name, text in texts), *given.kept]
    subjects = [subject for subject in subjects if subject.readings]
    kinds = _kinds(subjects, kind)
    findings = _findings(subjects, kinds, attached=together, every=kind is not None)
    failed = any(finding.severity >= room.Severity[fail_on.upper()] for finding in findings)
    result = _as_json(findings, kinds, given) | (_fixes_as_json(fixes) if fix else {})

    def lines() -> Iterator[str]:
        yield from (f"{WARN} {name}: skipped: {reason}" for name, reason in given.skipped)
        yield from _fixes_lines(fixes)
        if fix and given.kept:
            yield f"{WARN} --fix corrects policies in JSON; templates and plans stay as they are"
        yield from _lines(findings, kinds, given.open)

    answer(result, lines(), judged(findings=failed, unchecked=bool(given.open) or not kinds))


def _rendered(document: Profile) -> list[tuple[str, str]]:
    from cml_iam.render import part_name, render_parts

    return [
        (f"<{part_name(document, number)}>", part.text)
        for number, part in enumerate(render_parts(load_site(), document), start=1)
    ]


def _fixed(name: str, text: str, kind: Kind | None) -> Fixed:
    """Correct the policy, and write it unless this is a dry run; its file keeps mode and links."""
    fixed = room.fix_text(text, name, kind=kind)
    if fixed.text != text and not settings().dry_run:
        path = Path(name).resolve()
        write_whole(path, fixed.text, mode=path.stat().st_mode & 0o7777)
    return fixed


def _kinds(subjects: Sequence[Subject], kind: Kind | None) -> dict[str, Kind]:
    """Return the kind of each policy: from its file, *kind*, the site file, or the document."""
    site = site_with("lint") if kind is None else None
    patterns: Mapping[str, Any] = site.kinds if site else {}

    def own(subject: Subject) -> Kind:
        if subject.kind and not (kind == "boundary" and subject.kind == "identity"):
            return subject.kind
        path = PurePath(_file(subject))
        mapped: Kind | None = next((of for glob, of in patterns.items() if path.match(glob)), None)
        try:
            return kind or mapped or room.recognized_kind(json.loads(subject.readings[0].text))
        except (ValueError, RecursionError):
            return "identity"  # and a finding: nothing else was judged

    return {subject.name: own(subject) for subject in subjects}


def _file(subject: Subject) -> str:
    return subject.start.file if subject.start else subject.name


def _findings(
    subjects: Sequence[Subject], kinds: Mapping[str, Kind], *, attached: bool, every: bool
) -> list[Finding]:
    """Judge every policy as its kind, in order.

    With *attached*, policies of one kind are judged together: only identity-based ones or, with
    *every*, all kinds.
    """
    groups: dict[Kind, list[Subject]] = {}
    for subject in subjects:
        groups.setdefault(kinds[subject.name], []).append(subject)
    findings: list[Finding] = []
    for kind, group in groups.items():
        joined, processes = attached and (every or kind == "identity"), os.cpu_count() or 1
        findings += room.lint_subjects(group, kind=kind, together=joined, processes=processes)
    order = {file: number for number, file in reversed(list(enumerate(map(_file, subjects))))}

    def position(finding: Finding) -> tuple[int, int, int]:
        at = finding.place
        return (order.get(at.file, 0), at.line, at.column) if at else (0, 0, 0)

    return sorted(findings, key=position)


def _as_json(
    findings: Sequence[Finding], kinds: Mapping[str, Kind], given: Given
) -> dict[str, Any]:
    return {
        "files": [*kinds],
        "findings": findings,
        "summary": _counts(findings),
        "kinds": kinds,
        "skipped": [{"name": name, "reason": reason} for name, reason in given.skipped],
        "not_judged": [
            {"message": problem.message, **room.place_as_json(problem.place)}
            for problem in given.open
        ],
    }


def _fixes_as_json(fixes: Sequence[Fixed]) -> dict[str, Any]:
    """Return what was corrected, and what was not with the reason."""
    return {
        "fixed": [finding for fixed in fixes for finding in fixed.applied],
        "not_fixed": [
            suggestion.finding.as_json() | {"why": suggestion.why}
            for fixed in fixes
            for suggestion in fixed.suggested
        ],
    }


def _fixes_lines(fixes: Sequence[Fixed]) -> Iterator[str]:
    """Yield each correction with its place: made, proposed, or not made with the reason."""
    mark, done = (INFO, "would correct") if settings().dry_run else (OK, "corrected")
    for fixed in fixes:
        for finding in fixed.applied:
            yield f"{mark} {_at(finding)}{done} {_rule(finding)}: {finding.message}"
        for suggestion in fixed.suggested:
            finding = suggestion.finding
            yield f"{WARN} {_at(finding)}not corrected {_rule(finding)}: {suggestion.why}"
    if any(fixed.applied or fixed.suggested for fixed in fixes):
        yield ""


def _at(finding: Finding) -> str:
    return f"{finding.place}: " if finding.place else ""


def _rule(finding: Finding) -> str:
    return f"{finding.rule} {finding.name}"


def _counts(findings: Iterable[Finding]) -> dict[str, int]:
    words = [finding.severity.word for finding in findings]
    return {level: words.count(level) for level in LEVELS}


def _lines(
    findings: Sequence[Finding], kinds: Mapping[str, Kind], left: Sequence[Problem]
) -> Iterator[str]:
    """Yield the findings, what is *left* open, how a kind was judged, and a summary."""
    for finding, folded in _fold(findings):
        yield from _finding_lines(finding, () if settings().verbose else folded)
        for other in folded if settings().verbose else ():
            yield from _finding_lines(other)
    yield from (f"{UNKNOWN} {problem}" for problem in left)
    files = [finding.place.file for finding in findings if finding.place]
    for name in dict.fromkeys((*kinds, *files)):
        if not room.is_complete(findings, name):
            yield f"{WARN} {name}: fix this first; until then the other rules cannot judge it"
        elif kinds.get(name) in room.JUDGED_AS:
            yield f"{INFO} {name}: judged as {room.JUDGED_AS[kinds[name]]}"
    yield _summary(_counts(findings), len(kinds), len(left))


def _fold(findings: Sequence[Finding]) -> list[tuple[Finding, list[Finding]]]:
    """Return the findings to show, each with those that are folded into it.

    The worst finding of a place has the less severe ones of that place folded into it, and those
    with the same cause. All findings that one statement allows too much count as one place. Other
    findings of equal severity are shown, because their causes may differ.
    """
    groups: dict[object, list[Finding]] = {}
    for finding in findings:
        file = finding.place.file if finding.place else ""
        wide = _cause(finding) == "statement" and finding.statement
        where = (file, finding.statement) if wide else finding.place or id(finding)
        groups.setdefault(where, []).append(finding)
    shown: list[tuple[Finding, list[Finding]]] = []
    for together in groups.values():
        first = max(together, key=lambda finding: finding.severity)
        others = [finding for finding in together if finding is not first]
        folded = [o for o in others if o.severity < first.severity or _same_cause(o, first)]
        shown += [(first, folded), *((other, []) for other in others if other not in folded)]
    return shown


def _same_cause(one: Finding, other: Finding) -> bool:
    cause = _cause(one)
    return cause is not None and cause == _cause(other) and one.rule != other.rule


def _cause(finding: Finding) -> str | None:
    return next(rule.cause for rule in room.lint_rules() if rule.id == finding.rule)


def _finding_lines(finding: Finding, folded: Sequence[Finding] = ()) -> Iterator[str]:
    """Yield place and message, proof, remedy and page; of the findings *folded*, only the rules."""
    from cml_iam.report import Item, Request  # a clean policy needs none of it
    from cml_iam.report.text import item_lines

    word = finding.severity.word
    label = f" [{finding.statement}]" if finding.statement else ""
    yield f"{SEVERITY[word]} {_at(finding)}{word} {_rule(finding)}{label}"
    item = Item(
        SEVERITY[word],
        "plain",
        word,
        finding.rule,
        finding.name,
        message=finding.message,
        requests=tuple(Request(step.says, outcome=step.outcome) for step in finding.witness),
        remedy=finding.remedy,
    )
    yield from item_lines(item, terminal_width() or sys.maxsize)
    if finding.correction:
        guess = finding.correction.claim == "guess"
        note = "check that this is intended" if guess else "`--fix` writes it if it is proved safe"
        yield f"    suggestion ({note}):"
        text = json.dumps(finding.correction.as_json(), indent=2)
        yield from (f"      {line}" for line in text.splitlines())
    yield f"    see: {finding.page}"
    if folded:
        names = ", ".join(f"{_rule(other)} ({other.severity.word})" for other in folded)
        same = all(_same_cause(other, finding) for other in folded)
        report = "the same" if same else "another fault at this place"
        rules = "1 more rule reports" if len(folded) == 1 else f"{len(folded)} more rules report"
        yield f"    and {rules} {report}: {names}; -v shows each"
    yield ""


def _summary(number: Mapping[str, int], files: int, left: int) -> str:
    """Return the last line: findings by severity, in how many policies; *left* are not judged."""
    if not files:
        return f"{UNKNOWN} no policy found, nothing judged"
    from cml_iam.report import plural  # the help needs none of it

    policies = plural(files, "policy")
    rest = f"; {plural(left, 'part')} not judged" if left else ""
    parts = [plural(count, level) for level, count in number.items() if count]
    if not parts:
        return f"{UNKNOWN if left else OK} {policies}: nothing found{rest}"
    symbol = next(SEVERITY[level] for level, count in number.items() if count)
    return f"{symbol} {policies}: {', '.join(parts)}{rest}"
