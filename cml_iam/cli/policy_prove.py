"""`cml-iam policy prove`: what policies can ever permit, over all requests."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cml_iam.cli._exit import Exit
from cml_iam.cli._files import read_policy
from cml_iam.cli._output import BAD, INFO, OK, UNKNOWN, print_json, progress, say, wants_json
from cml_iam.cli._settings import settings, shared_options
from cml_iam.errors import InputError

if TYPE_CHECKING:
    from cml_iam.policy import PolicyDocument, Statement
    from cml_iam.prove import Assumption, Edit, Policies, Proof, Verdict, Witness

_FILE = click.Path(path_type=Path)
EXAMPLE = """\b
Examples:
  cml-iam policy prove
  cml-iam policy prove base.json --boundary boundary.json
  cml-iam policy prove --within base.json hardened.json
  cml-iam policy prove --never 'ec2:TerminateInstances on * where aws:RequestedRegion = eu-west-1'
"""
SYMBOLS = {"holds": OK, "broken": BAD, "undecided": UNKNOWN}
WAY = "closes it:"
TWINS = {"ec2:Region": "aws:RequestedRegion"}
QUESTIONS = {
    "within": "{files} allows nothing that {other} does not",
    "equivalent": "{files} allows the same as {other}",
    "never": "never allowed: {other}",
    "always": "always allowed: {other}",
}


@click.command(epilog=EXAMPLE)
@click.argument("files", nargs=-1, type=_FILE)
@click.option("--boundary", type=_FILE, help="The permissions boundary beside the FILES.")
@click.option("--within", type=_FILE, metavar="REFERENCE", help="Grants nothing this does not.")
@click.option("--equivalent", type=_FILE, metavar="REFERENCE", help="Grants the same as this.")
@click.option("--never", metavar="REQUESTS", help="None of these requests is allowed.")
@click.option("--always", metavar="REQUESTS", help="Each of these requests is allowed.")
@click.option("-v", "--verbose", "every", is_flag=True, help="Print what each proof rests on.")
@shared_options("site", "output", "color", "quiet")
@click.pass_context
def prove(
    context: click.Context,
    files: tuple[Path, ...],
    boundary: Path | None,
    within: Path | None,
    equivalent: Path | None,
    never: str | None,
    always: str | None,
    every: bool,
) -> None:
    """Prove what policies can never permit: no list of requests, but all there can be.

    Without a question, the promises of the site file are proved, of FILES as if attached together
    to one principal, or of the rendered policy. REQUESTS are written on one line: actions, `on`
    resources, `where` conditions joined by `and`. What does not hold comes with the calls that
    show it, the statements that allow them, and what would close it.

    Exits with 3 when something does not hold, with 8 when it could not be decided.
    """
    asked = {"within": within, "equivalent": equivalent, "never": never, "always": always}
    given = {name: value for name, value in asked.items() if value is not None}
    if len(given) > 1:
        raise InputError(f"{' and '.join(f'--{each}' for each in given)}: ask one at a time")
    if given:
        ((question, value),) = given.items()
        context.exit(_one(question, value, files, boundary))
    context.exit(_promises(files, boundary, every=every))


def _policies(files: Sequence[Path], boundary: Path | None) -> Policies:
    from cml_iam.prove import Policies

    documents = tuple(map(read_policy, files)) or _rendered()
    return Policies(documents, (read_policy(boundary),) if boundary else None)


def _rendered() -> tuple[PolicyDocument, ...]:
    from cml_iam.render import render_parts

    return tuple(each.document for each in render_parts(settings().load_site()))


def _one(question: str, value: Path | str, files: Sequence[Path], boundary: Path | None) -> Exit:
    """Ask one question."""
    from cml_iam import prove

    policies = _policies(files, boundary)
    if isinstance(value, Path):
        other = _resource_or_identity(read_policy(value))
        sides = _alike(policies, other)
        verdict = getattr(prove, question)(*sides)
    else:
        verdict = getattr(prove, question)(policies, prove.parse_shape(value, f"--{question}"))
    names = ", ".join(map(str, files)) or "the rendered policy"
    title = QUESTIONS[question].format(files=names, other=value)
    if wants_json():
        print_json({"question": question, "title": title, **verdict_json(verdict)})
    else:
        _show_verdict(title, verdict)
    return _code([verdict.answer])


def _resource_or_identity(document: PolicyDocument) -> Policies:
    from cml_iam.prove import Policies

    named = any(each.principal or each.not_principal for each in document.statements)
    return Policies(resource=document) if named else Policies((document,))


def _alike(policies: Policies, other: Policies) -> tuple[Policies, Policies]:
    """Return both sides, the first as a resource's policy too if it names principals."""
    if other.resource is None or len(policies.identity) != 1:
        return policies, other
    return _resource_or_identity(policies.identity[0]), other


def _promises(files: Sequence[Path], boundary: Path | None, *, every: bool) -> Exit:
    """Prove the site's promises."""
    from cml_iam.prove import prove_site

    site = settings().load_site()
    policies = _policies(files, boundary)
    with progress("proving", only_on_terminal=True):
        proofs = prove_site(site, policies)
    if wants_json():
        print_json({"promises": [proof_json(each) for each in proofs]})
    else:
        _show(proofs, every=every)
    return _code([each.answer for each in proofs])


def _code(answers: Sequence[str]) -> Exit:
    if "undecided" in answers:
        return Exit.UNCHECKED
    return Exit.FINDINGS if "broken" in answers else Exit.OK


def _show(proofs: Sequence[Proof], *, every: bool) -> None:
    width = max(len(each.answer) for each in proofs)
    for proof in proofs:
        name = "" if proof.answer == "holds" else f" [{proof.promise.id}]"
        say(f"{SYMBOLS[proof.answer]} {proof.answer:{width}}  {proof.promise.title}{name}")
        for line in _lines(proof):
            say(line)
    used = tuple(dict.fromkeys(a for each in proofs for a in each.assumptions))
    for line in _assumed(used, every=every):
        say(line)
    say(_verdict([each.answer for each in proofs]))


def _lines(proof: Proof) -> Iterator[str]:
    if proof.answer == "undecided":
        yield f"    {proof.reason}"
    for number, call in enumerate(proof.calls, 1):
        lead = f"{number}. " if len(proof.calls) > 1 else ""
        yield from _call(call, lead)
    for edit in proof.edits:
        yield f"    {WAY} {_edit(edit)}"
    if proof.denies:
        count = len(proof.denies)
        yield f"    {WAY} add {'the statement' if count == 1 else f'these {count} statements'}"
    for deny in proof.denies:
        yield from (f"      {line}" for line in _statement(deny))
    if proof.calls and not proof.edits and not proof.denies:
        yield f"    {WAY} attach what `cml-iam policy render` prints in its place"


def _call(call: Witness, lead: str) -> Iterator[str]:
    request = call.request
    yield f"    {lead}{request.action} on {request.resource}"
    for key, value in _said_once(request.context):
        text = ", ".join(value) if isinstance(value, list | tuple) else value
        yield f"       {key} = {text if text else json.dumps(text)}"
    by = ", ".join(f"{each.label}{_at(each.place)}" for each in call.candidate.statements)
    yield f"       allowed by {by}"
    if call.reference:
        yield f"       there {'denied' if call.reference.statements else 'allowed by nothing'}"


def _said_once(context: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield keys and values, but no `ec2:` key that says what its `aws:` namesake says."""
    for key, value in context.items():
        twin = TWINS.get(key) or key.replace("ec2:ResourceTag/", "aws:ResourceTag/")
        if twin == key or context.get(twin) != value:
            yield key, value


def _at(place: object) -> str:
    return f" ({place})" if place else ""


def _edit(edit: Edit) -> str:
    operator, key, values = edit.condition
    where = f"{edit.statement.label}{_at(edit.document.place(edit.statement))}"
    return f"add to {where} the condition {json.dumps({operator: {key: list(values)}})}"


def _statement(deny: Statement) -> Iterator[str]:
    """Yield the lines of a statement: one for each element."""
    *most, last = _statement_json(deny).items()
    yield "{"
    for name, value in most:
        yield f"  {json.dumps(name)}: {json.dumps(value)},"
    yield f"  {json.dumps(last[0])}: {json.dumps(last[1])}"
    yield "}"


def _statement_json(deny: Statement) -> dict[str, Any]:
    conditions: dict[str, dict[str, list[str]]] = {}
    for each in deny.conditions:
        conditions.setdefault(each.operator, {})[each.key] = list(each.values)
    elements = {
        "Effect": deny.effect,
        "Action": deny.action,
        "NotAction": deny.not_action,
        "Resource": deny.resource,
        "NotResource": deny.not_resource,
    }
    present = {k: list(v) if isinstance(v, tuple) else v for k, v in elements.items() if v}
    return present | ({"Condition": conditions} if conditions else {})


def _assumed(used: Sequence[Assumption], *, every: bool) -> Iterator[str]:
    if not used:
        return
    if not every:
        facts = "1 fact" if len(used) == 1 else f"{len(used)} facts"
        yield f"{INFO} {facts} about AWS taken for granted; -v prints what, with AWS's page"
        return
    yield f"{INFO} taken for granted, for AWS says so:"
    for each in used:
        yield f"    {each.text}"
        yield f"      {each.page}"


def _verdict(answers: Sequence[str]) -> str:
    total = len(answers)
    broken, unsure = answers.count("broken"), answers.count("undecided")
    if broken or unsure:
        parts = [f"{broken} of {total} promises broken"] if broken else []
        parts += [f"{unsure} of {total} undecided"] if unsure else []
        return f"{BAD if broken else UNKNOWN} {', '.join(parts)}"
    return f"{OK} all {total} promises hold, for every request there can be"


def _show_verdict(title: str, verdict: Verdict) -> None:
    say(f"{SYMBOLS[verdict.answer]} {verdict.answer}  {title}")
    if verdict.answer == "undecided":
        say(f"    {verdict.reason}")
    if verdict.witness:
        for line in _call(verdict.witness, ""):
            say(line)
    for line in _assumed(verdict.assumptions, every=True):
        say(line)


def verdict_json(verdict: Verdict) -> dict[str, Any]:
    """Return *verdict* for a program."""
    return {
        "answer": verdict.answer,
        "witness": _call_json(verdict.witness) if verdict.witness else None,
        "reason": verdict.reason or None,
        "assumptions": [_assumption_json(each) for each in verdict.assumptions],
    }


def proof_json(proof: Proof) -> dict[str, Any]:
    """Return *proof* for a program."""
    return {
        "id": proof.promise.id,
        "title": proof.promise.title,
        "answer": proof.answer,
        "calls": [_call_json(each) for each in proof.calls],
        "conditionsToAdd": [_edit_json(each) for each in proof.edits],
        "statementsToAdd": [_statement_json(each) for each in proof.denies],
        "reason": proof.reason or None,
        "assumptions": [_assumption_json(each) for each in proof.assumptions],
    }


def _call_json(call: Witness) -> dict[str, Any]:
    request = call.request
    return {
        "action": request.action,
        "resource": request.resource,
        "principal": request.principal,
        "context": dict(request.context),
        "statements": [
            {"label": each.label, "policy": each.policy, "place": str(each.place or "") or None}
            for each in call.candidate.statements
        ],
    }


def _edit_json(edit: Edit) -> dict[str, Any]:
    place = edit.document.place(edit.statement)
    operator, key, values = edit.condition
    return {
        "statement": edit.statement.label,
        "policy": edit.document.name,
        "place": str(place) if place else None,
        "add": {operator: {key: list(values)}},
    }


def _assumption_json(each: Assumption) -> dict[str, str]:
    return {"text": each.text, "page": each.page}
