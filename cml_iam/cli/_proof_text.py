"""Format a proof for the terminal: witnesses, corrections, assumptions."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from textwrap import TextWrapper
from typing import TYPE_CHECKING, Any, Final

from cml_iam.cli._output import INFO, WARN, json_text

if TYPE_CHECKING:
    from cml_iam.prove import Answered, Assumption, Edit, Proof, Witness

UNDECIDED: Final = "so nothing is proved; narrow the question with --never"
WAY: Final = "closes it:"
WIDTH: Final = 80
"""Width, in columns, of a statement that users copy."""

STATEMENT_INDENT: Final = 6
MAX_NAMED: Final = 3
"""Maximum number of actions named for one assumption."""

MAX_FACTS: Final = 20


def proof_lines(proof: Proof, *, verbose: bool) -> Iterator[str]:
    """Yield the lines below the answer to a promise: why it fails or is undecided.

    With *verbose*, or if other actions may be allowed, also yields the actions it is about.
    """
    covered = ", ".join(proof.promise.covers) or "every action"
    if proof.limited:
        yield from _wrapped(
            f"for {covered} only; other actions are allowed, see [catalogue]", indent=4
        )
    elif verbose:
        yield from _wrapped(f"covers {covered}", indent=4)
    if proof.answer == "undecided":
        yield f"    {proof.reason}"
        yield f"    {UNDECIDED}"
    if proof.colon:
        yield f"    {other_reading(proof.colon)}"
    for number, call in enumerate(proof.calls, 1):
        lead = f"{number}. " if len(proof.calls) > 1 else ""
        yield from call_lines(call, lead, other="the documented policy")
    for number, edit in enumerate(proof.edits):
        yield f"    {'and' if number else f'{WAY} add'} {_edit(edit)}"
        yield from _indented(edit.added)
    if proof.denies:
        from cml_iam.prove import statement_json

        count = len(proof.denies)
        what = "this statement" if count == 1 else f"these {count} statements"
        yield f"    {WAY} add {what} to one of the policies"
    for deny in proof.denies:
        yield from _indented(statement_json(deny))
    if proof.calls and not proof.edits and not proof.denies:
        yield f"    {WAY} attach the policy that `cml-iam policy render` prints instead"


def other_reading(answer: str) -> str:
    """Return the line that the other reading of wildcards in ARNs gives *answer*."""
    return f"{WARN} {answer}, if a `*` in a short ARN also matches the missing colons"


def call_lines(
    call: Witness, lead: str = "", *, other: str = "", asked: Iterable[str] = ()
) -> Iterator[str]:
    """Yield a request, the statements that allow it, and the decision of *other*, if given.

    *asked* are condition keys to report when the request lacks them.
    """
    request, allowing = call.request, call.candidate.statements
    of_resource = any(reason.kind == "resource" for reason in allowing)
    by = f" by {request.principal or 'an anonymous caller'}" if of_resource else ""
    yield from _at_most(f"    {lead}{request.action}", f"on {request.resource}{by}", indent=7)
    for key, value in _said_once(request.context):
        yield f"       {key_line(key, value)}"
    deciding = (*allowing, *(call.reference or call.candidate).statements)
    keys = (test.key for reason in deciding for test in reason.statement.conditions)
    absent = _absent(request.context, (*asked, *keys))
    if absent:
        yield f"       without {', '.join(absent)}"
    if call.unlisted:
        yield "       AWS's service reference lists no such action; AWS may add one"
    if call.candidate.outcome == "allowed" and not _is_question(call.candidate):
        yield f"       allowed by {_statements(call.candidate)}"
    if call.reference:
        yield f"       {_refused(call.reference, other)}"


def key_line(key: str, value: Any) -> str:
    """Format a condition key with its value; `KEY[]` marks a list whose key AWS does not list so.

    `policy explain --context` accepts this form.
    """
    from cml_iam.facts import key_type

    if isinstance(value, list | tuple):
        mark = "" if (key_type(key) or "").startswith("ArrayOf") else "[]"
        return f"{key}{mark} = {', '.join(value) or json.dumps(list(value))}"
    return f"{key} = {value or json.dumps(value)}"


def promise_line(proof: Proof, lead: str) -> Iterator[str]:
    """Return the line of a promise, after *lead*, with its id if it does not hold."""
    title = f"{lead}  {proof.promise.title}"
    if proof.answer == "holds":
        yield title
    else:
        yield from _at_most(title, f"[{proof.promise.id}]", indent=4)


def _at_most(first: str, second: str, *, indent: int) -> Iterator[str]:
    """Yield both on one line, or on two if that is too long."""
    if len(first) + 1 + len(second) <= WIDTH:
        yield f"{first} {second}"
    else:
        yield from (first, " " * indent + second)


def _is_question(side: Answered) -> bool:
    """Return whether *side* is only the set of requests asked about."""
    from cml_iam.prove import SHAPE_NAME

    return any(statement.policy == SHAPE_NAME for statement in side.statements)


def _refused(side: Answered, name: str) -> str:
    if side.statements:
        return f"denied by {_statements(side)}"
    return f"{name}: no statement allows it" if name else "no statement allows it"


def _statements(side: Answered) -> str:
    return ", ".join(f"{statement.label}{_at(statement.place)}" for statement in side.statements)


def _absent(context: Mapping[str, Any], keys: Iterable[str]) -> list[str]:
    """Return those of *keys* that a request with *context* does not have, each once."""
    from cml_iam.facts import same_key

    present = set(map(same_key, context))
    return [
        key for name, key in {same_key(key): key for key in keys}.items() if name not in present
    ]


def _said_once(context: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield keys and values; a key present under two names appears once."""
    from cml_iam.facts import every_name

    for key, value in context.items():
        first = next(name for name in every_name(key) if name == key or name in context)
        if first == key or context[first] != value:
            yield key, value


def _at(place: object) -> str:
    return f" ({place})" if place else ""


def _edit(edit: Edit) -> str:
    where = f"{edit.statement.label}{_at(edit.document.place(edit.statement))}"
    return f"to {where} the condition"


def _indented(value: Mapping[str, Any]) -> Iterator[str]:
    for line in fitted(value, WIDTH - STATEMENT_INDENT):
        yield " " * STATEMENT_INDENT + line


def fitted(value: Any, room: int) -> list[str]:
    """Format *value* as JSON in *room* columns, on as few lines as possible.

    Each element of a statement gets at least one line.
    """
    whole = json_text(value)
    statement = isinstance(value, dict) and "Effect" in value
    if not isinstance(value, dict | list) or (len(whole) <= room and not statement):
        return [whole]
    return _opened(value, room)


def _opened(value: dict[str, Any] | list[Any], room: int) -> list[str]:
    """Format *value* with its brackets on lines of their own."""
    if isinstance(value, list):
        return ["[", *_filled([json_text(each) for each in value], room - 2), "]"]
    lines = ["{"]
    for number, (name, inner) in enumerate(value.items(), 1):
        comma = "," if number < len(value) else ""
        lead = f"  {json_text(name)}: "
        made = fitted(inner, room - len(lead) - len(comma))
        first, *rest = made if len(made) == 1 else _opened(inner, room - 2)
        lines += [lead + first, *(f"  {each}" for each in rest)]
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
    yield from _formats(used)
    facts = _facts(assumption for assumption in used if assumption.kind != "limit")
    limits = _facts(assumption for assumption in used if assumption.kind == "limit")
    if not every:
        counts = [_counted(facts, "fact about AWS assumed")]
        counts += [_counted(limits, "limit of the promises")]
        text = ", ".join(filter(None, counts))
        if text:
            yield f"{INFO} {text}; -v prints them"
        return
    if facts:
        yield f"{INFO} assumed from AWS's documentation:"
        yield from _listed(facts)
    else:
        yield f"{INFO} no assumptions about AWS"
    if limits:
        yield f"{INFO} not promised:"
        yield from _listed(limits)


def _formats(used: Iterable[Assumption]) -> Iterator[str]:
    """Warn of proofs that rest on ARN formats of other services, where AWS has more formats."""
    actions = {assumption.action for assumption in used if assumption.kind == "resource"}
    services = sorted({action.partition(":")[0] for action in actions} - {"ec2"})
    if services:
        yield (
            f"{WARN} this relies on the ARN formats in AWS's service reference for "
            f"{_named(services, 'services')}; they may be incomplete"
        )


def _counted(by_page: Mapping[str, Sequence[str]], what: str) -> str:
    count = sum(map(len, by_page.values()))
    noun, rest = what.split(" ", 1)
    return f"{count} {noun}{'' if count == 1 else 's'} {rest}" if count else ""


def _listed(by_page: Mapping[str, Sequence[str]]) -> Iterator[str]:
    left = MAX_FACTS
    for page, texts in by_page.items():
        if left > 0:
            for text in texts[:left]:
                yield from _wrapped(text, mark="- ")
            yield f"    {page}"
        left -= len(texts)
    if left < 0:
        yield f"    and {-left} more; `-o json` shows all of them"


def _wrapped(text: str, *, mark: str = "", indent: int = 2) -> list[str]:
    wrapper = TextWrapper(WIDTH, break_long_words=False, break_on_hyphens=False)
    wrapper.initial_indent = " " * indent + mark
    wrapper.subsequent_indent = " " * len(wrapper.initial_indent)
    return wrapper.wrap(text)


def _facts(used: Iterable[Assumption]) -> dict[str, list[str]]:
    """Return assumptions by page; one about several actions is listed once."""
    alike: dict[tuple[str, str], list[str]] = {}
    for assumption in used:
        text = (
            assumption.text.replace(assumption.action, "\0", 1)
            if assumption.action
            else assumption.text
        )
        alike.setdefault((assumption.page, text), []).append(assumption.action)
    found: dict[str, list[str]] = {}
    for (page, text), actions in alike.items():
        found.setdefault(page, []).append(text.replace("\0", _named(actions)))
    return found


def _named(names: Sequence[str], what: str = "actions") -> str:
    """Return the first of *names*, and how many more there are."""
    if len(names) <= MAX_NAMED:
        *most, last = names
        return f"{', '.join(most)} and {last}" if most else last
    return f"{names[0]} and {len(names) - 1} other {what}"
