"""The promises of a site, proved or broken, and how to fix broken ones.

A call of RunInstances is allowed only if every resource is:
https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ExamplePolicies_EC2.html#iam-example-runinstances
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import product
from typing import Any, Final, NamedTuple

from cml_iam.catalogue import load_catalogue
from cml_iam.engine import compile_policies
from cml_iam.errors import DocumentError
from cml_iam.facts import PARTITIONS, REGION, Assumption, known_regions, service
from cml_iam.policy import (
    VERSION_2012,
    Condition,
    PolicyDocument,
    Shape,
    Statement,
    attachment_problems,
    load_policy,
)
from cml_iam.prove._answers import Answer, Verdict, Witness, assumptions_of
from cml_iam.prove._instances import losing, taking_over, where
from cml_iam.prove._question import conditions_of, never, statement_of, within
from cml_iam.prove._steps import lost, taken_over, together
from cml_iam.render import render_policy
from cml_iam.restrict import RUN, Promise, permissions, promises_of
from cml_iam.site import Site
from cml_iam.space import Policies, documents, taking_colons

CATALOGUE: Final = "catalogue"
"""If this promise holds, the promises about some actions cover everything the policies allow.
"""

WHOLE: Final = Assumption(
    "resource",
    "all resources of ec2:RunInstances",
    "a launch needs an image, an instance, a network interface, a security group and a subnet, "
    "all of them allowed",
    "https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ExamplePolicies_EC2.html",
)

MAX_EDITS: Final = 6
"""The maximum number of statements that a correction may change."""


class Edit(NamedTuple):
    """A condition to add to a statement."""

    document: PolicyDocument
    statement: Statement
    condition: Condition

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
        return _block((self.condition,))


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
    colon: Answer | None = None
    edits: tuple[Edit, ...] = ()
    denies: tuple[Statement, ...] = ()
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
    elements = {
        "Effect": deny.effect,
        "Action": deny.action,
        "NotAction": deny.not_action,
        "Resource": deny.resource,
        "NotResource": deny.not_resource,
    }
    present = {k: list(v) if isinstance(v, tuple) else v for k, v in elements.items() if v}
    return present | ({"Condition": _block(deny.conditions)} if deny.conditions else {})


def _block(conditions: Iterable[Condition]) -> dict[str, dict[str, list[str]]]:
    block: dict[str, dict[str, list[str]]] = {}
    for condition in conditions:
        block.setdefault(condition.operator, {})[condition.key] = list(condition.values)
    return block


def site_promises(site: Site) -> tuple[Promise, ...]:
    """Return everything that the restrictions of *site* promise, in order."""
    allowed = [permission.action for permission in permissions(site)]
    others = (Shape(not_actions=tuple(allowed)),)
    title = "nothing beyond the documented policy is allowed"
    base = _base(allowed[len(load_catalogue().permissions) :])
    return (
        Promise("within-base", title, others, "within", reference=base),
        Promise(CATALOGUE, "no action outside the permission catalogue is allowed", others),
        *promises_of(site),
    )


def _base(granted: Sequence[str]) -> PolicyDocument:
    """Return the documented policy, with the actions that the site grants in addition."""
    documented = render_policy(None, "base").document
    if not granted:
        return documented
    statement = {"Effect": "Allow", "Action": list(granted), "Resource": "*"}
    further = load_policy({"Version": "2012-10-17", "Statement": [statement]}, "granted")
    statements = (*documented.statements, *further.statements)
    return PolicyDocument(statements, documented.version, name="base")


def prove_site(site: Site, policies: Policies, *, remedies: bool = True) -> tuple[Proof, ...]:
    """Prove every promise of *site* for a principal with *policies*.

    With *remedies*, also looks for fixes of broken promises. Raises DocumentError for a policy that
    IAM would not accept.
    """
    problems = tuple(p for document in documents(policies) for p in attachment_problems(document))
    if problems:
        raise DocumentError(problems)
    policies = policies._replace(partition=site.partition)
    proofs = [prove_promise(promise, policies) for promise in site_promises(site)]
    others = any(proof.promise.id == CATALOGUE and proof.answer != "holds" for proof in proofs)
    limited = [proof._replace(limited=others and bool(proof.promise.covers)) for proof in proofs]
    return tuple(_fixed(proof, policies, site) if remedies else proof for proof in limited)


def prove_promise(promise: Promise, policies: Policies) -> Proof:
    """Prove one promise, in both readings of ARN wildcards if they differ."""
    verdict = _answer(promise, policies)
    if verdict.answer != "broken":
        verdict = verdict._replace(assumptions=(*verdict.assumptions, *promise.limits))
    other = taking_colons(policies)
    second = verdict if other is policies else _answer(promise, other)
    colon = None if second.answer == verdict.answer else second.answer
    return Proof(promise, *verdict._replace(colon=colon))


def _answer(promise: Promise, policies: Policies) -> Verdict:
    if promise.manner == "taken over" and promise.tag:
        return taken_over(policies, promise.tag, promise.shapes[0])
    if promise.manner == "lost" and promise.tag:
        return lost(policies, promise.tag, promise.shapes[0].resources)
    if promise.manner == "within" and promise.reference:
        return within(policies, Policies(identity=(promise.reference,)))
    return together(_never_done(policies, shape) for shape in promise.shapes)


def _never_done(policies: Policies, shape: Shape) -> Verdict:
    """Prove that requests of *shape* have no effect: none of another action is allowed.

    A launch needs several requests, each about one resource; it has no effect if no region allows
    all of them.
    """
    verdict = never(policies, shape)
    everywhere = tuple(shape.resources) == ("*",) and shape.not_resources is None
    if not verdict.witness or verdict.witness.request.action != RUN or not everywhere:
        return verdict
    needed = _launched(shape)
    partitions = (policies.partition,) if policies.partition else PARTITIONS
    regions = (region for partition in partitions for region in known_regions(partition))
    for region in (verdict.witness.request.resource.split(":")[3], *regions):
        here = [where(launch, {"StringEquals": {REGION: region}}) for launch in needed]
        if all(never(policies, launch).answer == "broken" for launch in here):
            return verdict
    impossible = [v for launch in needed if (v := never(policies, launch)).holds]
    if not impossible:
        reason = "could not find a region in which everything that a launch needs is allowed"
        return Verdict("undecided", (), verdict.assumptions, reason)
    others = never(policies, _without_launches(shape))
    return others._replace(assumptions=(*assumptions_of(others, impossible[0]), WHOLE))


def _launched(shape: Shape) -> list[Shape]:
    ec2 = service("ec2")
    action = ec2.action("RunInstances") if ec2 else None
    types = [target.type for target in (action.targets if action else ()) if target.required]
    return [Shape((RUN,), (f"arn:*:ec2:*:*:{type_}/*",), shape.conditions) for type_ in types]


def _without_launches(shape: Shape) -> Shape:
    if shape.not_actions is not None:
        return replace(shape, not_actions=(*shape.not_actions, RUN))
    if "*" in shape.actions:
        return replace(shape, not_actions=(RUN,))
    return replace(shape, actions=tuple(action for action in shape.actions if action != RUN))


def _fixed(proof: Proof, policies: Policies, site: Site) -> Proof:
    if proof.answer != "broken":
        return proof
    edited, edits = _with_conditions(proof, policies)
    if edits and _needed(policies, site) <= _needed(edited, site):
        return proof._replace(edits=edits)
    breaking = enumerate(_breaking(proof.promise))
    denies = tuple(_deny(number, shape, site.partition) for number, shape in breaking)
    document = PolicyDocument(denies, VERSION_2012, name="denies")
    beside = policies._replace(identity=(*policies.identity, document))
    if denies and prove_promise(proof.promise, beside).answer == "holds":
        return proof._replace(denies=denies)
    return proof


def _needed(policies: Policies, site: Site) -> frozenset[str]:
    """Return the allowed calls among those that the site needs."""
    # Imported here because only a broken promise needs it.
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
    edits: list[Edit] = []
    while proof.answer == "broken" and len(edits) < MAX_EDITS:
        new = [edit for edit in _next(proof, policies) if edit not in edits]
        if not new:
            break
        edits += new
        edited = tuple(_edited(document, new) for document in policies.identity)
        policies = policies._replace(identity=edited)
        proof = prove_promise(proof.promise, policies)
    return policies, tuple(edits) if proof.answer == "holds" else ()


def _next(proof: Proof, policies: Policies) -> Iterator[Edit]:
    """Yield edits of the statements that allow the first call, which makes the others possible."""
    allowing = [(r.policy, r.statement.index) for r in proof.calls[0].candidate.statements]
    for place, document in product(allowing, policies.identity):
        for statement in document.statements:
            if (document.name, statement.index) == place:
                for condition in conditions_of(proof.promise.closing):
                    if condition not in statement.conditions:
                        yield Edit(document, statement, condition)


def _edited(document: PolicyDocument, edits: Sequence[Edit]) -> PolicyDocument:
    added: dict[int, list[Condition]] = {}
    for edit in edits:
        if edit.document.name == document.name:
            added.setdefault(edit.statement.index, []).append(edit.condition)
    statements = (
        replace(statement, conditions=(*statement.conditions, *added.get(statement.index, ())))
        for statement in document.statements
    )
    return replace(document, statements=tuple(statements))


def _breaking(promise: Promise) -> tuple[Shape, ...]:
    """Return the calls that must be denied for *promise* to hold."""
    if promise.manner == "taken over" and promise.tag:
        return taking_over(promise.tag, promise.shapes[0])
    if promise.manner == "lost" and promise.tag:
        return losing(promise.tag, promise.shapes[0].resources)
    return promise.shapes


def _deny(number: int, shape: Shape, partition: str) -> Statement:
    allow = statement_of(shape)
    # IAM takes no wildcard for the partition.
    resource, not_resource = (
        arns and tuple(arn.replace("arn:*:", f"arn:{partition}:", 1) for arn in arns)
        for arns in (allow.resource, allow.not_resource)
    )
    deny = replace(allow, effect="Deny", sid=None, index=number)
    return replace(deny, resource=resource, not_resource=not_resource)
