"""The texts of policies: lint, instance sizes, access keys, and the lines shown for a finding."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from functools import partial, reduce
from operator import getitem
from typing import Final

from cml_iam.audit import AuditFinding, Spot
from cml_iam.check.answer import Answer, ask_of, fingerprint
from cml_iam.check.checks import Check
from cml_iam.check.files import InputFile, Policy
from cml_iam.errors import DocumentError, Place
from cml_iam.lint import Finding, Kind, Severity, lint_subjects
from cml_iam.located import parse_json
from cml_iam.policy import PolicyDocument, Statement, parse_policy
from cml_iam.report import Excerpt
from cml_iam.sources import plain_subject


def lint_many(
    check: Check, policies: Sequence[Policy], kind: Kind, *, together: bool, processes: int
) -> list[AuditFinding]:
    """Lint *policies*, all of one *kind*, with up to *processes* processes; see `lint_subjects`."""
    subjects = [policy.subject or plain_subject(policy.name, policy.text) for policy in policies]
    findings = lint_subjects(subjects, kind=kind, together=together, processes=processes)
    # A finding has the file of its place; for a policy in a plan, this is not the policy's name.
    named = {policy.name: policy for policy in policies} | {
        policy.file: policy for policy in policies
    }
    judged = [_linted(finding, check, policies[0].name) for finding in findings]
    judged += [finding for policy in policies for finding in _sizes(check, policy)]
    return [
        replace(finding, spot=named[finding.spot.file].spot(finding.spot))
        if finding.spot.file in named
        else finding
        for finding in judged
    ]


def _linted(finding: Finding, check: Check, name: str) -> AuditFinding:
    spot = Spot.at(finding.place, name, finding.statement)
    return AuditFinding(
        rule=finding.rule,
        name=finding.name,
        severity=finding.severity,
        message=finding.message,
        spot=spot,
        check=check.id,
        fingerprint=fingerprint(finding.rule, spot),
        remedy=finding.remedy,
        page=finding.page,
        witness=tuple(
            ask_of(step.request, step.outcome, says=step.says) for step in finding.witness
        ),
    )


def _sizes(check: Check, policy: Policy) -> Iterator[AuditFinding]:
    """Yield findings about unlimited instance sizes, at their places in the file."""
    for finding in _open_sizes(check, policy):
        spot, subject = finding.spot, policy.subject
        if subject and subject.readings and spot.line and spot.column:
            place = subject.place(Place(policy.name, spot.line, spot.column), subject.readings[0])
            spot = Spot.at(place, policy.name, spot.statement)
        yield replace(finding, spot=spot)


_TYPE_KEY: Final = "ec2:instancetype"
_WIDE: Final = re.compile(r'"[a-z0-9-]+\.\*"')


def _open_sizes(check: Check, policy: Policy) -> Iterator[AuditFinding]:
    """Yield a finding for each Allow of `family.*`; none in a document of the site itself."""
    if policy.role is not None or not (
        _WIDE.search(policy.text) and _TYPE_KEY in policy.text.lower()
    ):
        return  # parsing every policy a second time would be slow
    try:
        document = parse_policy(policy.text, policy.name)
    except DocumentError:
        return  # lint reports it
    for statement in document.statements:
        for condition in statement.conditions:
            if condition.key.lower() == _TYPE_KEY and statement.effect == "Allow":
                wide = [value for value in condition.values if value.endswith(".*")]
                if wide and condition.operator.lower().startswith("stringlike"):
                    yield _open_size(check, document, statement, wide)


def _open_size(
    check: Check, document: PolicyDocument, statement: Statement, wide: list[str]
) -> AuditFinding:
    from cml_iam.engine import Request, compile_policies

    named = ", ".join(f"`{value}`" for value in wide)
    metal = wide[0].removesuffix("*") + "metal"
    spot = Spot.at(document.place(statement, "Condition"), document.name, statement.label)
    alone = PolicyDocument((statement,), document.version, name=document.name)
    arn = "arn:aws:ec2:us-east-1:111122223333:instance/*"
    context = {"ec2:InstanceType": metal, "aws:RequestedRegion": "us-east-1"}
    request = Request("ec2:RunInstances", arn, None, context)
    decision = compile_policies(identity=[alone]).decide(request)
    says = f"launch a {metal}, which this statement allows"
    ask = ask_of(request, decision.outcome, (statement.label,), says=says)
    witness = (ask,) if decision.allowed else ()
    message = f"{named} matches every size, including `{metal}`, so it hardly limits the cost"
    return check.finding("CML715", message, spot, witness=witness)


_ID: Final = re.compile(r"(?<![A-Za-z0-9])(?:AKIA|ASIA)[A-Z0-9]{16}(?![A-Za-z0-9])")
_SECRET: Final = re.compile(r"(?<![A-Za-z0-9/+])[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+=])")
_NEAR: Final = 400
"""The number of characters before and after a key's id that are searched for its secret."""

_EXAMPLE: Final = "EXAMPLE"
_HARMLESS: Final = "but it is AWS's example and gives no access"
_PLACEHOLDERS: Final = "write placeholders instead, so that a real pair never replaces it unnoticed"


def secrets_in(check: Check, file: InputFile) -> Iterator[AuditFinding]:
    """Yield a finding for every access key in the file with its secret; never shows the secret.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html
    """
    for key, (start, secret) in secrets_in_text(file.text).items():
        before = file.text[:start]
        line, column = before.count("\n") + 1, start - before.rfind("\n")
        finding = partial(check.finding, "CML807", spot=Spot(file.name, line, column), about=key)
        if key.endswith(_EXAMPLE) and secret.endswith(f"{_EXAMPLE}KEY"):
            message = f"the access key `{key}` is here with its secret, {_HARMLESS}"
            yield finding(message, severity=Severity.INFO, remedy=_PLACEHOLDERS)
            continue
        from cml_iam.credentials import account_of  # many modules, needed for few files

        account = account_of(key)
        whose = f", of account {account}," if account else ""
        yield finding(f"the access key `{key}`{whose} is here with a secret")


def secrets_in_text(text: str) -> dict[str, tuple[int, str]]:
    """Return each access key in *text* that has a secret: its first place, and the secret."""
    secrets: dict[str, tuple[int, str]] = {}
    for match in _ID.finditer(text):
        near = text[max(0, match.start() - _NEAR) : match.end() + _NEAR]
        secret = next(filter(_is_random, _SECRET.findall(near)), None)
        if secret is not None:
            secrets.setdefault(match[0], (match.start(), secret))
    return secrets


def _is_random(text: str) -> bool:
    """Return whether *text* has the characters of a secret, which a digest never has."""
    return any(map(str.isupper, text)) and any(map(str.islower, text))


MOST_LINES: Final = 20
MOST_COLUMNS: Final = 160

_AROUND: Final = (2, 8)
"""The number of lines shown around a place if the extent of its statement is unknown."""

_QUOTED: Final = re.compile(r'"([^"\\]+)"')

Lines = tuple[int, int]
"""The first and the last line, counted from 1."""


def with_excerpts(answer: Answer, texts: Mapping[str, str]) -> Answer:
    """Add lines of *texts* (by file or ARN) to findings; none of a text with an access key."""
    safe = {name: text for name, text in texts.items() if not secrets_in_text(text)}
    statements: dict[str, Mapping[str, Lines]] = {}

    def shown(finding: AuditFinding) -> AuditFinding:
        for name in _names(finding, safe):
            if name not in statements:
                statements[name] = dict(_statements(safe[name]))
            if excerpt := _excerpt(finding, safe[name], statements[name]):
                return replace(finding, excerpt=excerpt)
        return finding

    return replace(answer, findings=tuple(map(shown, answer.findings)))


def document_text(document: PolicyDocument) -> str:
    """Return an account's document formatted for people, whatever its original layout."""
    if document.located is None:
        return ""
    return json.dumps(document.located.value, indent=2, ensure_ascii=False)


def _names(finding: AuditFinding, texts: Mapping[str, str]) -> Sequence[str]:
    """Return the names of *texts* that may contain the finding; all policies for a principal."""
    spot = finding.spot
    named = spot.file or spot.resource or ""
    if named in texts:
        return (named,)
    return () if spot.file or not finding.witness else tuple(texts)


def _excerpt(finding: AuditFinding, text: str, statements: Mapping[str, Lines]) -> Excerpt | None:
    lines, spot = text.split("\n"), finding.spot
    # In a sequence, only the last request counts, because it is the one to prevent.
    labels = [label for ask in reversed(finding.witness) for label in ask.statements]
    labels = [spot.statement] if spot.statement else labels
    extent = next((statements[label] for label in labels if label in statements), None)
    at = spot.line if spot.file else None
    if at and not 1 <= at <= len(lines):
        return None
    if extent is None or (at and not extent[0] <= at <= extent[1]):
        if not at:
            return None
        extent = (max(1, at - _AROUND[0]), min(len(lines), at + _AROUND[1]))
    first, last = extent
    # A place at the beginning of a statement stands for the whole statement.
    inside = at and (at > first or lines[at - 1][: (spot.column or 1) - 1].strip(" \t{"))
    marked = [at] if at and inside else _naming(finding, lines, extent)
    if last - first >= MOST_LINES:
        first = max(first, min((marked or [first])[0] - _AROUND[0], last - MOST_LINES + 1))
        last = first + MOST_LINES - 1
    column = (spot.column or 1) if at else 1
    return Excerpt(
        first,
        tuple(
            _cut(line, column if number == at else 1)
            for number, line in enumerate(lines[first - 1 : last], start=first)
        ),
        tuple(number for number in marked if first <= number <= last),
    )


def _naming(finding: AuditFinding, lines: Sequence[str], within: Lines) -> list[int]:
    """Return the lines that name an action of the finding's requests."""
    actions = {ask.action.lower() for ask in finding.witness}
    return [
        number
        for number in range(within[0], within[1] + 1)
        if any(
            fnmatchcase(action, pattern.lower())
            for pattern in _QUOTED.findall(lines[number - 1])
            if ":" in pattern and not pattern.startswith("arn:")
            for action in actions
        )
    ]


def _statements(text: str) -> Iterator[tuple[str, Lines]]:
    try:
        located = parse_json(text)
    except DocumentError:
        return
    for path, span in located.values.items():
        if len(path) < 2 or path[-2] != "Statement" or not isinstance(path[-1], int):
            continue
        value = reduce(getitem, path, located.value)
        if isinstance(value, dict):
            sid = value.get("Sid")
            label = sid if isinstance(sid, str) and sid else f"statement {path[-1] + 1}"
            source = located.source
            yield label, (source.place(span.start).line, source.place(span.end - 1).line)


def _cut(line: str, column: int) -> str:
    """Return *line* or, if it is long, the part around *column*."""
    if len(line) <= MOST_COLUMNS:
        return line
    start = max(0, min(column - 1 - MOST_COLUMNS // 4, len(line) - MOST_COLUMNS))
    rest = line[start : start + MOST_COLUMNS]
    return f"{'…' if start else ''}{rest}{'…' if start + MOST_COLUMNS < len(line) else ''}"
