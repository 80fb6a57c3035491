"""Why each statement did or did not apply, as values to print or assert.

Services refuse some requests whatever the policies say; notes mention those.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, Final, NamedTuple

from cml_iam.engine._compile import CompiledStatement
from cml_iam.engine._conditions import CompiledCondition, unknown_operator
from cml_iam.engine._order import ALWAYS_ALLOWED, Gate, Outcome, applies, needs_resource_policy
from cml_iam.engine._request import (
    Caller,
    Naming,
    PolicyType,
    Request,
    all_texts,
    names_principals,
    naming,
    single_text,
)
from cml_iam.engine._text import Variable
from cml_iam.errors import Place
from cml_iam.policy import Statement, pattern_matches

_READS: Final = ("get", "list", "describe", "generate", "simulate")

_REFUSED: Final = {
    "arn:*:iam::aws:policy/*": (
        "AWS manages this policy: IAM refuses every change to it, whatever policies allow"
    ),
    "arn:*:iam::*:role/aws-service-role/*": (
        "IAM refuses most changes to a service-linked role, whatever policies allow"
    ),
    "arn:*:iam::*:role/aws-reserved/*": (
        "IAM refuses changes to a role that AWS reserves, whatever policies allow"
    ),
    "arn:*:kms:*:*:alias/aws/*": (
        "AWS manages this alias: KMS refuses every change to it, whatever policies allow"
    ),
}
"""Resources that their own service protects, and the reason.

https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_managed-vs-inline.html
https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_create-service-linked-role.html
https://docs.aws.amazon.com/kms/latest/developerguide/alias-about.html
"""


def notes(request: Request, kinds: AbstractSet[PolicyType]) -> Iterator[str]:
    """Yield sentences on what decides *request* besides policies of the types *kinds*."""
    action = request.action.lower()
    service, _, name = action.partition(":")
    if action in ALWAYS_ALLOWED:
        yield "no policy can refuse sts:GetCallerIdentity, not even by a Deny"
    if service == "kms" and needs_resource_policy(request) and "resource" not in kinds:
        yield (
            "a KMS key always has a key policy, which must allow the call or delegate to the "
            "account; none was given, so this decision assumes that it delegates"
        )
    if name.startswith(_READS):
        return
    for pattern, why in _REFUSED.items():
        if pattern.split(":")[2] == service and pattern_matches(pattern, request.resource):
            yield why


_NO_ORGANIZATION: Final = {
    "scp": "SCPs apply to users and roles of member accounts only, except service-linked roles",
    "rcp": "RCPs do not apply to service-linked roles",
}


class ElementReason(NamedTuple):
    """Whether one *element* of a statement (`Action`, `NotResource` …) matches the request.

    *values* are the policy's values, *found* is the request's, and *note* replaces the sentence.
    """

    element: str
    matched: bool
    values: tuple[str, ...]
    found: str
    note: str = ""

    def __str__(self) -> str:
        if self.note:
            return self.note
        # Of NotAction, NotResource and NotPrincipal, a name keeps the statement from applying.
        verb = "names" if self.matched != self.element.startswith("Not") else "does not name"
        return f"{self.element} {verb} `{self.found}`"


class ConditionReason(NamedTuple):
    """Whether one condition matches; *found* is None if the request lacks the *key*.

    *problems* names those of the policy's *values* that can never match.
    """

    operator: str
    key: str
    values: tuple[str, ...]
    found: tuple[str, ...] | None
    several: bool
    matched: bool
    problems: tuple[str, ...] = ()

    def __str__(self) -> str:
        if unknown_operator(self.operator):
            return self.problems[0]
        has = "is missing" if self.found is None else f"is {_listed(self.found)}"
        negated = "not" in self.operator.rpartition(":")[2].lower()
        values = f"{'anything but ' if negated else ''}{_listed(self.values)}"
        why = "".join(f" ({problem})" for problem in self.problems)
        if self.several and not self.matched and ":" not in self.operator:
            why += (
                " (the key has several values, so the operator needs ForAllValues or ForAnyValue)"
            )
        return f"`{self.key}` {has}; {self.operator} requires {values}{why}"


class StatementReason(NamedTuple):
    """The reason why one statement of the document called *policy* did or did not apply.

    *level* is the level of an organization's policy, counted from 1 at the root.
    """

    policy: str
    kind: PolicyType
    statement: Statement
    elements: tuple[ElementReason, ...]
    conditions: tuple[ConditionReason, ...]
    level: int | None = None
    place: Place | None = None

    @property
    def matched(self) -> bool:
        """Whether the statement applies to the request."""
        return not self.failed

    @property
    def parts(self) -> tuple[ElementReason | ConditionReason, ...]:
        """All its elements and conditions."""
        return (*self.elements, *self.conditions)

    @property
    def failed(self) -> tuple[ElementReason | ConditionReason, ...]:
        """The elements and conditions that prevent the statement from applying."""
        return tuple(part for part in self.parts if not part.matched)

    @property
    def effect(self) -> str:
        """`Allow` or `Deny`."""
        return self.statement.effect

    @property
    def label(self) -> str:
        """The Sid, or the statement's number counted from 1 if there is none."""
        return self.statement.label

    @property
    def reason(self) -> str:
        """A sentence on why the statement did not apply, or that it applies."""
        return "; ".join(map(str, self.failed)) or "it applies"

    def as_json(self) -> dict[str, Any]:
        """Return the reason as JSON values."""
        return {
            "policy": self.policy,
            "type": self.kind,
            "level": self.level,
            "place": str(self.place) if self.place else None,
            "statement": self.label,
            "effect": self.effect,
            "applies": self.matched,
            "reason": self.reason,
            "elements": [_fields(element, "note") for element in self.elements],
            "conditions": [_fields(c, "several", "problems") for c in self.conditions],
        }


def _fields(reason: ElementReason | ConditionReason, *without: str) -> dict[str, Any]:
    fields = {name: value for name, value in reason._asdict().items() if name not in without}
    return {name: list(v) if isinstance(v, tuple) else v for name, v in fields.items()}


class GateReason(NamedTuple):
    """Whether the policies of one type allow, ignoring Deny; *level* is as in StatementReason."""

    kind: PolicyType
    allowed: bool
    level: int | None = None


class Explanation(NamedTuple):
    """A decision with a reason for each statement of each policy, in the policies' order.

    *notes* say what decides the request besides these policies.
    """

    request: Request
    outcome: Outcome
    statements: tuple[StatementReason, ...]
    gates: tuple[GateReason, ...]
    notes: tuple[str, ...] = ()

    @property
    def deciding(self) -> tuple[StatementReason, ...]:
        """The statements that decided: all that deny or, without these, all that allow."""
        effect = {"allowed": "Allow", "explicitDeny": "Deny"}.get(self.outcome)
        return tuple(s for s in self.statements if s.effect == effect and s.matched)

    def as_json(self) -> dict[str, Any]:
        """Return the explanation as JSON values."""
        deciding = set(map(id, self.deciding))
        return {
            "outcome": self.outcome,
            "allowed": self.outcome == "allowed",
            "request": self.request.as_json(),
            "gates": [
                {"type": gate.kind, "level": gate.level, "allows": gate.allowed}
                for gate in self.gates
            ],
            "statements": [
                {**statement.as_json(), "decides": id(statement) in deciding}
                for statement in self.statements
            ],
            "notes": list(self.notes),
        }


def explain(request: Request, outcome: Outcome, gates: Sequence[Gate]) -> Explanation:
    """Explain why every statement of *gates* did or did not apply."""
    kinds = {gate.kind for gate in gates}
    scene = _Scene(request, Caller.parse(request.principal), kinds)
    statements: list[StatementReason] = []
    answers: list[GateReason] = []
    for gate in gates:
        reasons = [_statement(statement, gate, scene) for statement in gate.statements]
        allowed = any(reason.matched and reason.effect == "Allow" for reason in reasons)
        answers.append(GateReason(gate.kind, allowed, gate.level))
        statements += reasons
    return Explanation(
        request, outcome, tuple(statements), tuple(answers), tuple(notes(request, kinds))
    )


class _Scene(NamedTuple):
    request: Request
    caller: Caller
    kinds: AbstractSet[PolicyType]


def _statement(compiled: CompiledStatement, gate: Gate, scene: _Scene) -> StatementReason:
    context = scene.request.context
    return StatementReason(
        policy=compiled.document.name,
        kind=gate.kind,
        statement=compiled.statement,
        elements=tuple(_elements(compiled, scene)),
        conditions=tuple(_condition(condition, context) for condition in compiled.conditions),
        level=gate.level,
        place=compiled.document.place(compiled.statement),
    )


def _elements(compiled: CompiledStatement, scene: _Scene) -> Iterator[ElementReason]:
    statement, request = compiled.statement, scene.request
    if not applies(compiled.kind, scene.caller, of_resource="resource" in scene.kinds):
        note = _NO_ORGANIZATION[compiled.kind]
        yield ElementReason("Principal", False, (), request.principal or "", note)
    if names_principals(compiled.kind):
        named = naming(statement, scene.caller, bounded="boundary" in scene.kinds)
        element = "Principal" if statement.not_principal is None else "NotPrincipal"
        caller = request.principal or "anonymous"
        yield ElementReason(element, named is not Naming.NOT, _principals(statement), caller)
    yield ElementReason(
        "NotAction" if compiled.not_action else "Action",
        compiled.matches_action(request.action),
        statement.not_action or statement.action or (),
        request.action,
    )
    if statement.resource is not None or statement.not_resource is not None:
        test = compiled.resource
        yield ElementReason(
            "Resource" if statement.not_resource is None else "NotResource",
            test is None or test(request.resource, request.context),
            statement.not_resource or statement.resource or (),
            request.resource,
            _matches_nothing(compiled, request.context),
        )


def _matches_nothing(compiled: CompiledStatement, context: Mapping[str, Any]) -> str:
    """Return the part of NotResource that prevents the statement from ever matching, or "".

    AWS does not document the effect of a policy variable without a value in NotResource.
    """
    for resource in compiled.resources if compiled.statement.not_resource is not None else ():
        variables = (p for field in resource.fields or () for p in field if isinstance(p, Variable))
        missing = next((v.key for v in variables if v.value(context) is None), None)
        if missing is not None:
            why = f"the policy variable `${{{missing}}}`, which has no value"
        elif resource.spoils:
            why = f"`{resource.text}`, which names nothing"
        else:
            continue
        return f"NotResource has {why}, so the statement matches nothing"
    return ""


def _principals(statement: Statement) -> tuple[str, ...]:
    principals = statement.principal or statement.not_principal
    if principals is None:
        return ()
    return ("*",) if principals.everyone else tuple(n for _, names in principals.ids for n in names)


def _condition(compiled: CompiledCondition, context: Mapping[str, Any]) -> ConditionReason:
    value = compiled.keys.get(context, compiled.key)
    return ConditionReason(
        operator=compiled.condition.operator,
        key=compiled.condition.key,
        values=compiled.condition.values,
        found=None if value is None else all_texts(value),
        several=value is not None and single_text(value) is None,
        matched=compiled.test(context),
        problems=compiled.problems,
    )


def _listed(texts: Sequence[str]) -> str:
    return " or ".join(f"`{text}`" for text in texts) if texts else "(nothing)"
