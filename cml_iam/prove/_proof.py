"""The promises of a site, proved or broken, and how to fix broken ones."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from cml_iam.engine import compile_policies
from cml_iam.errors import DocumentError
from cml_iam.policy import VERSION_2012, Condition, PolicyDocument, Statement, attachment_problems
from cml_iam.prove._instances import losing, taking_over
from cml_iam.prove._promises import CATALOGUE, never_done, site_promises
from cml_iam.prove._question import statement_of, within
from cml_iam.prove._steps import Reached, lost, reached, taken_over
from cml_iam.space import Policies, Shape, documents, taking_colons

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cml_iam.facts import Assumption
    from cml_iam.prove._answers import Answer, Witness
    from cml_iam.restrict import Promise
    from cml_iam.site import Site

MAX_EDITS: Final = 6
"""The maximum number of statements that a correction may change."""


class Edit(NamedTuple):
    """A condition to add to a statement, as (operator, key, values)."""

    document: PolicyDocument
    statement: Statement
    condition: tuple[str, str, tuple[str, ...]]

    def as_json(self) -> dict[str, Any]:
        """Return the statement and what to add to it as JSON values."""
        place = self.document.place(self.statement)
        return {
            "statement": self.statement.label,
            "policy": self.document.name,
            "place": str(place) if place else None,
            "add": self.added,
        }

    @property
    def added(self) -> dict[str, dict[str, list[str]]]:
        """The condition in the form of a policy."""
        operator, key, values = self.condition
        return {operator: {key: list(values)}}


class Proof(NamedTuple):
    """The result for a promise. If broken, it has *calls* in order, each allowed by the policies.

    A fix is either *edits*, which together make the promise hold and remove no call that the site
    needs, or *denies*, statements to add that deny only the calls that break it. Both kinds are
    proved, and both are empty if no fix is known. *colon* is the answer if a `*` in an ARN's first
    five fields also matches colons, when that differs.

    *limited* means that the policies may allow actions that the promise does not cover.
    """

    promise: Promise
    answer: Answer
    calls: tuple[Witness, ...] = ()
    assumptions: tuple[Assumption, ...] = ()
    reason: str = ""
    edits: tuple[Edit, ...] = ()
    denies: tuple[Statement, ...] = ()
    colon: Answer | None = None
    limited: bool = False

    def as_json(self) -> dict[str, Any]:
        """Return the result as JSON values."""
        return {
            "id": self.promise.id,
            "title": self.promise.title,
            "answer": self.answer,
            "covers": list(self.promise.covers) or ["*"],
            "other_actions_allowed": self.limited,
            "other_reading": self.colon,
            "calls": [call.as_json() for call in self.calls],
            "conditions_to_add": [edit.as_json() for edit in self.edits],
            "statements_to_add": [statement_json(deny) for deny in self.denies],
            "reason": self.reason or None,
            "assumptions": [assumption.as_json() for assumption in self.assumptions],
        }


def statement_json(deny: Statement) -> dict[str, Any]:
    """Return a statement of *denies* in the form of a policy."""
    conditions: dict[str, dict[str, list[str]]] = {}
    for condition in deny.conditions:
        conditions.setdefault(condition.operator, {})[condition.key] = list(condition.values)
    elements = {
        "Effect": deny.effect,
        "Action": deny.action,
        "NotAction": deny.not_action,
        "Resource": deny.resource,
        "NotResource": deny.not_resource,
    }
    present = {k: list(v) if isinstance(v, tuple) else v for k, v in elements.items() if v}
    return present | ({"Condition": conditions} if conditions else {})


def prove_site(site: Site, policies: Policies, *, remedies: bool = True) -> tuple[Proof, ...]:
    """Prove every promise of *site* for a principal with *policies*.

    With *remedies*, also looks for fixes of broken promises. Raises DocumentError for a policy that
    IAM would not accept.
    """
    problems = tuple(p for document in documents(policies) for p in attachment_problems(document))
    if problems:
        raise DocumentError(problems)
    policies = policies._replace(partition=site.partition)
    proofs = _limited([prove_promise(promise, policies) for promise in site_promises(site)])
    return tuple(_closed(proof, policies, site) for proof in proofs) if remedies else proofs


def _limited(proofs: Sequence[Proof]) -> tuple[Proof, ...]:
    """Mark a proof as limited if it covers only some actions and others may be allowed."""
    others = any(proof.promise.id == CATALOGUE and proof.answer != "holds" for proof in proofs)
    return tuple(proof._replace(limited=others and bool(proof.promise.covers)) for proof in proofs)


def prove_promise(promise: Promise, policies: Policies) -> Proof:
    """Prove one promise, in both readings of ARN wildcards if they differ."""
    found = _answer(promise, policies)
    other = taking_colons(policies)
    second = found if other is policies else _answer(promise, other)
    return Proof(
        promise,
        found.answer,
        found.calls,
        (*found.assumptions, *promise.limits) if found.answer != "broken" else found.assumptions,
        found.reason,
        colon=None if second.answer == found.answer else second.answer,
    )


def _answer(promise: Promise, policies: Policies) -> Reached:
    if promise.manner == "taken over" and promise.tag:
        (operations,) = promise.shapes
        return taken_over(policies, promise.tag, operations)
    if promise.manner == "lost" and promise.tag:
        (tagging,) = promise.shapes
        return lost(policies, promise.tag, tagging.resources)
    if promise.manner == "within" and promise.reference:
        return reached([within(policies, Policies(identity=(promise.reference,)))])
    return reached(never_done(policies, shape) for shape in promise.shapes)


def _closed(proof: Proof, policies: Policies, site: Site) -> Proof:
    """Add a fix to a broken promise, if there is one."""
    if proof.answer != "broken":
        return proof
    edited, edits = _with_conditions(proof, policies)
    if edits and _needed(policies, site) <= _needed(edited, site):
        return proof._replace(edits=edits)
    breaking = enumerate(_breaking(proof.promise))
    denies = tuple(_deny(number, shape, site.partition) for number, shape in breaking)
    if denies and prove_promise(proof.promise, _beside(policies, denies)).answer == "holds":
        return proof._replace(denies=denies)
    return proof


def _needed(policies: Policies, site: Site) -> frozenset[str]:
    """Return the allowed calls among those that the site needs."""
    # Of a site whose promises hold nothing is asked here.
    from cml_iam.expectations import derive_expectations

    authorizer = compile_policies(identity=policies.identity, boundary=policies.boundary)
    return frozenset(
        expectation.id
        for expectation in derive_expectations(site)
        if expectation.expected == "allowed"
        and all(authorizer.decide(r).allowed for r in expectation.requests)
    )


def _with_conditions(proof: Proof, policies: Policies) -> tuple[Policies, tuple[Edit, ...]]:
    """Add the promise's condition to statements that break it; no edits if it cannot hold."""
    made: list[Edit] = []
    while proof.answer == "broken" and len(made) < MAX_EDITS:
        edits = [edit for edit in _next(proof, policies) if edit not in made]
        if not edits:
            break
        made += edits
        policies = _edited(policies, edits)
        proof = prove_promise(proof.promise, policies)
    return policies, tuple(made) if proof.answer == "holds" else ()


def _next(proof: Proof, policies: Policies) -> Iterator[Edit]:
    """Yield edits of the statements that allow the first call, which makes the others possible."""
    for reason in proof.calls[0].candidate.statements:
        for document in policies.identity:
            for statement in document.statements:
                if document.name != reason.policy or statement.index != reason.statement.index:
                    continue
                for operator, block in proof.promise.closing.items():
                    for key, value in block.items():
                        values = (value,) if isinstance(value, str) else tuple(value)
                        if Condition(operator, key, values) not in statement.conditions:
                            yield Edit(document, statement, (operator, key, values))


def _edited(policies: Policies, edits: Sequence[Edit]) -> Policies:
    return policies._replace(
        identity=tuple(_document(document, edits) for document in policies.identity)
    )


def _document(document: PolicyDocument, edits: Sequence[Edit]) -> PolicyDocument:
    added: dict[int, list[Condition]] = {}
    for edit in edits:
        if edit.document.name == document.name:
            added.setdefault(edit.statement.index, []).append(Condition(*edit.condition))
    statements = (
        replace(statement, conditions=(*statement.conditions, *added.get(statement.index, ())))
        for statement in document.statements
    )
    return replace(document, statements=tuple(statements))


def _breaking(promise: Promise) -> tuple[Shape, ...]:
    """Return the calls that must be denied for *promise* to hold."""
    if promise.manner == "taken over" and promise.tag:
        (operations,) = promise.shapes
        return taking_over(promise.tag, operations)
    if promise.manner == "lost" and promise.tag:
        (tagging,) = promise.shapes
        return losing(promise.tag, tagging.resources)
    return promise.shapes


def _deny(number: int, shape: Shape, partition: str) -> Statement:
    made = replace(statement_of(shape), effect="Deny", sid=None, index=number)
    # IAM takes no wildcard for the partition.
    return replace(
        made,
        resource=_in_partition(made.resource, partition),
        not_resource=_in_partition(made.not_resource, partition),
    )


def _in_partition(arns: tuple[str, ...] | None, partition: str) -> tuple[str, ...] | None:
    return arns and tuple(arn.replace("arn:*:", f"arn:{partition}:", 1) for arn in arns)


def _beside(policies: Policies, denies: tuple[Statement, ...]) -> Policies:
    document = PolicyDocument(denies, VERSION_2012, name="denies")
    return policies._replace(identity=(*policies.identity, document))
