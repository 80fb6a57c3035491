"""Format a proof for the terminal: witnesses, corrections, assumptions."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from textwrap import wrap
from typing import TYPE_CHECKING, Any, Final

from cml_iam.cli._output import INFO, WARN, json_text
from cml_iam.report import listed, plural

if TYPE_CHECKING:
    from cml_iam.engine import StatementReason
    from cml_iam.facts import Assumption
    from cml_iam.prove import Answered, Proof, Witness

UNDECIDED: Final = "so nothing is proved; narrow the question with --never"
IF_COLONS: Final = "if a `*` in a short ARN also matches the missing colons"
WAY: Final = "closes it:"
WIDTH: Final = 80
"""Width, in columns, of a statement that users copy."""

STATEMENT_INDENT: Final = 6
MAX_NAMED: Final = 3
"""Maximum number of actions named for one assumption."""

MAX_FACTS: Final = 20


def promise_lines(proof: Proof, lead: str, *, verbose: bool) -> Iterator[str]:
    """Yield a promise after *lead*, with its id if it does not hold, and why it does not.

    With *verbose*, or if other actions may be allowed, also yields the actions it is about.
    """
    title = f"{lead}  {proof.promise.title}"
    if proof.answer == "holds":
        yield title
    else:
        yield from _at_most(title, f"[{proof.promise.id}]", indent=4)
    covered = ", ".join(proof.promise.covers) or "every action"
    if proof.limited:
        yield from _wrapped(
            f"for {covered} only; other actions are allowed, see [catalogue]", "    "
        )
    elif verbose:
        yield from _wrapped(f"covers {covered}", "    ")
    if proof.answer == "undecided":
        yield f"    {proof.reason}"
        yield f"    {UNDECIDED}"
    if proof.colon:
        yield f"    {WARN} {proof.colon}, {IF_COLONS}"
    for number, call in enumerate(proof.calls, 1):
        lead = f"{number}. " if len(proof.calls) > 1 else ""
        yield from call_lines(call, lead, other="the documented policy")
    yield from _correction_lines(proof)


def _correction_lines(proof: Proof) -> Iterator[str]:
    """Yield what would make the promise hold."""
    from cml_iam.prove import statement_json

    for number, edit in enumerate(proof.edits):
        where = f"{edit.statement.label}{_at(edit.document.place(edit.statement))}"
        yield f"    {'and' if number else f'{WAY} add'} to {where} the condition"
        yield from _indented(edit.added)
    if proof.denies:
        count = len(proof.denies)
        statements = "this statement" if count == 1 else f"these {count} statements"
        yield f"    {WAY} add {statements} to one of the policies"
    for deny in proof.denies:
        yield from _indented(statement_json(deny))
    if proof.calls and not proof.edits and not proof.denies:
        yield f"    {WAY} attach the policy that `cml-iam policy render` prints instead"


def call_lines(
    call: Witness, lead: str = "", *, other: str = "", asked: Iterable[str] = ()
) -> Iterator[str]:
    """Yield a request, the statements that allow it, and the decision of *other*, if given.

    *asked* are condition keys to report when the request lacks them.
    """
    from cml_iam.facts import every_name, same_key
    from cml_iam.prove import SHAPE_NAME

    request, reference = call.request, call.reference
    allowing = call.candidate.statements
    of_resource = any(reason.kind == "resource" for reason in allowing)
    by = f" by {request.principal or 'an anonymous caller'}" if of_resource else ""
    yield from _at_most(f"    {lead}{request.action}", f"on {request.resource}{by}", indent=7)
    for key, value in request.context.items():
        # A key present under two names appears once.
        first = next(name for name in every_name(key) if name == key or name in request.context)
        if first == key or request.context[first] != value:
            yield f"       {key_line(key, value)}"
    deciding = (*allowing, *(reference or call.candidate).statements)
    keys = (*asked, *(test.key for reason in deciding for test in reason.statement.conditions))
    present = set(map(same_key, request.context))
    by_name = {same_key(key): key for key in keys}
    absent = [key for name, key in by_name.items() if name not in present]
    if absent:
        yield f"       without {', '.join(absent)}"
    if call.unlisted:
        yield "       AWS's service reference lists no such action; AWS may add one"
    # The other side may be only the set of requests asked about.
    asked_only = any(statement.policy == SHAPE_NAME for statement in allowing)
    if call.candidate.outcome == "allowed" and not asked_only:
        yield f"       allowed by {statement_names(call.candidate)}"
    if reference and reference.statements:
        yield f"       denied by {statement_names(reference)}"
    elif reference:
        yield f"       {f'{other}: ' if other else ''}no statement allows it"


def key_line(key: str, value: Any) -> str:
    """Format a condition key with its value; `KEY[]` marks a list whose key AWS does not list so.

    `policy explain --context` accepts this form.
    """
    from cml_iam.facts import key_type

    if isinstance(value, list | tuple):
        mark = "" if (key_type(key) or "").startswith("ArrayOf") else "[]"
        return f"{key}{mark} = {', '.join(value) or json.dumps(list(value))}"
    return f"{key} = {value or json.dumps(value)}"


def statement_names(side: Answered) -> str:
    """Return the statements that decide *side*, with their places."""
    return ", ".join(map(statement_name, side.statements))


def statement_name(statement: StatementReason) -> str:
    """Return the label of *statement*, with its place."""
    return f"{statement.label}{_at(statement.place)}"


def _at(place: object) -> str:
    return f" ({place})" if place else ""


def _at_most(first: str, second: str, *, indent: int) -> Iterator[str]:
    """Yield both on one line, or on two if that is too long."""
    if len(first) + 1 + len(second) <= WIDTH:
        yield f"{first} {second}"
    else:
        yield from (first, " " * indent + second)


def _indented(value: Mapping[str, Any]) -> Iterator[str]:
    for line in fitted(value, WIDTH - STATEMENT_INDENT):
        yield " " * STATEMENT_INDENT + line


def fitted(value: Any, room: int, *, opened: bool | None = None) -> list[str]:
    """Format *value* as JSON in *room* columns, on as few lines as possible.

    Each element of a statement gets at least one line, and the brackets of a value that is
    *opened* have lines of their own.
    """
    whole = json_text(value)
    if opened is None:
        opened = len(whole) > room or (isinstance(value, dict) and "Effect" in value)
    if not opened or not isinstance(value, dict | list):
        return [whole]
    if isinstance(value, list):
        return ["[", *_filled([json_text(item) for item in value], room - 2), "]"]
    lines = ["{"]
    for number, (name, inner) in enumerate(value.items(), 1):
        comma = "," if number < len(value) else ""
        lead = f"  {json_text(name)}: "
        inner_lines = fitted(inner, room - len(lead) - len(comma))
        first, *rest = (
            inner_lines if len(inner_lines) == 1 else fitted(inner, room - 2, opened=True)
        )
        lines += [lead + first, *(f"  {line}" for line in rest)]
        lines[-1] += comma
    return [*lines, "}"]


def _filled(items: Sequence[str], room: int) -> Iterator[str]:
    """Yield *items*, separated by commas, in as few lines of *room* columns as possible."""
    line = ""
    for number, item in enumerate(items, 1):
        part = item + ("," if number < len(items) else "")
        if line and len(line) + 1 + len(part) > room:
            yield f"  {line}"
            line = ""
        line = f"{line} {part}" if line else part
    if line:
        yield f"  {line}"


def assumption_lines(used: Iterable[Assumption], *, every: bool) -> Iterator[str]:
    """Yield the number of assumptions or, with *every*, each assumption with its page."""
    used = tuple(used)
    # AWS has more formats of ARNs than its service reference says.
    actions = {assumption.action for assumption in used if assumption.kind == "resource"}
    services = sorted({action.partition(":")[0] for action in actions} - {"ec2"})
    if services:
        yield (
            f"{WARN} this relies on the ARN formats in AWS's service reference for "
            f"{_named(services, 'services')}; they may be incomplete"
        )
    facts = _by_page(assumption for assumption in used if assumption.kind != "limit")
    limits = _by_page(assumption for assumption in used if assumption.kind == "limit")
    rows = (
        (facts, "fact", "about AWS assumed", "assumed from AWS's documentation"),
        (limits, "limit", "of the promises", "not promised"),
    )
    if not every:
        counts = [
            f"{plural(sum(map(len, pages.values())), noun)} {rest}"
            for pages, noun, rest, _ in rows
            if pages
        ]
        if counts:
            yield f"{INFO} {', '.join(counts)}; -v prints them"
        return
    if not facts:
        yield f"{INFO} no assumptions about AWS"
    for pages, _, _, heading in rows:
        if pages:
            yield f"{INFO} {heading}:"
            yield from _page_lines(pages)


def _page_lines(by_page: Mapping[str, Sequence[str]]) -> Iterator[str]:
    left = MAX_FACTS
    for page, texts in by_page.items():
        if left > 0:
            for text in texts[:left]:
                yield from _wrapped(text, "  - ")
            yield f"    {page}"
        left -= len(texts)
    if left < 0:
        yield f"    and {-left} more; `-o json` shows all of them"


def _wrapped(text: str, lead: str) -> list[str]:
    return wrap(
        text,
        WIDTH,
        initial_indent=lead,
        subsequent_indent=" " * len(lead),
        break_long_words=False,
        break_on_hyphens=False,
    )


def _by_page(used: Iterable[Assumption]) -> dict[str, list[str]]:
    """Return assumptions by page; one about several actions is listed once."""
    alike: dict[tuple[str, str], list[str]] = {}
    for assumption in used:
        text, action = assumption.text, assumption.action
        text = text.replace(action, "\0", 1) if action else text
        alike.setdefault((assumption.page, text), []).append(action)
    by_page: dict[str, list[str]] = {}
    for (page, text), actions in alike.items():
        by_page.setdefault(page, []).append(text.replace("\0", _named(actions)))
    return by_page


def _named(names: Sequence[str], noun: str = "actions") -> str:
    """Return the first of *names*, and how many more there are."""
    if len(names) > MAX_NAMED:
        return f"{names[0]} and {len(names) - 1} other {noun}"
    return listed(names)
