"""The promises of a site, proved or broken, and what would close a broken one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from cml_iam.errors import DocumentError
from cml_iam.policy import Condition, PolicyDocument, Statement, attachment_problems
from cml_iam.prove._answers import Answer, Policies, Verdict, Witness, documents
from cml_iam.prove._known import Assumption
from cml_iam.prove._promises import Promise, site_promises
from cml_iam.prove._question import never, within
from cml_iam.prove._steps import Reached, lost, taken_over
from cml_iam.site import Site

MAX_EDITS: Final = 6
"""Statements that are changed in the search for what closes a promise."""


@dataclass(frozen=True, slots=True)
class Edit:
    """A change of one statement: a condition more, or its removal where *condition* is None."""

    document: PolicyDocument
    statement: Statement
    condition: tuple[str, str, tuple[str, ...]] | None = None


@dataclass(frozen=True, slots=True)
class Proof:
    """How a promise came out. A broken one has *calls*, in order, each allowed by the policies.

    *edits* together make it hold, as was proved; empty where none were found.
    """

    promise: Promise
    answer: Answer
    calls: tuple[Witness, ...] = ()
    assumptions: tuple[Assumption, ...] = ()
    reason: str = ""
    edits: tuple[Edit, ...] = ()


def prove_site(site: Site, policies: Policies, *, edits: bool = True) -> tuple[Proof, ...]:
    """Prove every promise of *site* for a principal with *policies*.

    With *edits*, what would close a broken promise is looked for. Raises DocumentError for a policy
    that IAM would not attach.
    """
    problems = tuple(p for each in documents(policies) for p in attachment_problems(each))
    if problems:
        raise DocumentError(problems)
    proofs = tuple(prove_promise(each, policies) for each in site_promises(site))
    return tuple(_closed(each, policies) for each in proofs) if edits else proofs


def prove_promise(promise: Promise, policies: Policies) -> Proof:
    """Prove one promise."""
    found = _answer(promise, policies)
    return Proof(promise, found.answer, found.calls, found.assumptions, found.reason)


def _answer(promise: Promise, policies: Policies) -> Reached:
    if promise.manner == "taken over" and promise.tag:
        (operations,) = promise.shapes
        return taken_over(policies, promise.tag, operations.actions)
    if promise.manner == "lost" and promise.tag:
        return lost(policies, promise.tag)
    if promise.manner == "within" and promise.reference:
        return _reached([within(policies, Policies(identity=(promise.reference,)))])
    return _reached(never(policies, each) for each in promise.shapes)


def _reached(verdicts: Iterable[Verdict]) -> Reached:
    """Return the first broken verdict; else undecided if one is; else that all hold."""
    used: dict[Assumption, None] = {}
    reasons = []
    for each in verdicts:
        if each.answer == "broken" and each.witness:
            return Reached("broken", (each.witness,), each.assumptions)
        if each.answer == "undecided":
            reasons.append(each.reason)
        used |= dict.fromkeys(each.assumptions)
    return Reached("undecided" if reasons else "holds", (), tuple(used), "; ".join(reasons))


def _closed(proof: Proof, policies: Policies) -> Proof:
    """Add the edits that make a broken promise hold."""
    if proof.answer != "broken":
        return proof
    for removing in (False, True):
        if removing or proof.promise.closing:
            edits = _edits(proof, policies, removing=removing)
            if edits:
                return replace(proof, edits=edits)
    return proof


def _edits(proof: Proof, policies: Policies, *, removing: bool) -> tuple[Edit, ...]:
    """Edit what allows the last call, until the promise holds; nothing if that does not come."""
    made: list[Edit] = []
    while proof.answer == "broken" and len(made) < MAX_EDITS:
        edits = list(_next(proof, policies, removing=removing))
        if not edits or any(each in made for each in edits):
            return ()
        made += edits
        for each in edits:
            policies = _edited(policies, each)
        proof = prove_promise(proof.promise, policies)
    return tuple(made) if proof.answer == "holds" else ()


def _next(proof: Proof, policies: Policies, *, removing: bool) -> Iterator[Edit]:
    """Yield the edits of the statements that allow the call which breaks the promise."""
    # Of a sequence the first call is the one that must not be: it makes the others possible.
    call = proof.calls[0]
    for reason in call.candidate.statements:
        for document in policies.identity:
            for statement in document.statements:
                if statement.effect != "Allow" or statement.label != reason.label:
                    continue
                if removing:
                    yield Edit(document, statement)
                    continue
                for operator, block in proof.promise.closing.items():
                    for key, value in block.items():
                        values = (value,) if isinstance(value, str) else tuple(value)
                        yield Edit(document, statement, (operator, key, values))


def _edited(policies: Policies, edit: Edit) -> Policies:
    changed = tuple(
        _document(each, edit) if _same(each, edit.document) else each for each in policies.identity
    )
    return replace(policies, identity=changed)


def _same(one: PolicyDocument, other: PolicyDocument) -> bool:
    return one.name == other.name and len(one.statements) == len(other.statements)


def _document(document: PolicyDocument, edit: Edit) -> PolicyDocument:
    statements = []
    for each in document.statements:
        if each.index != edit.statement.index:
            statements.append(each)
        elif edit.condition:
            conditions = (*each.conditions, Condition(*edit.condition))
            statements.append(replace(each, conditions=conditions))
    return replace(document, statements=tuple(statements))
