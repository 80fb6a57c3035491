"""The input of rules: documents attached together, and the names in their statements."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any, Final

from cml_iam import facts
from cml_iam.catalogue import load_catalogue
from cml_iam.engine import compile_policies
from cml_iam.facts import arn_pattern, overlap
from cml_iam.lint._finding import Found, Step
from cml_iam.policy import PolicyDocument, Statement, pattern_matches
from cml_iam.space import Part

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cml_iam.engine import Authorizer, Request
    from cml_iam.errors import Place
    from cml_iam.facts import Action, ArnPattern, Target
    from cml_iam.lint._edits import Correction
    from cml_iam.lint._finding import Kind
    from cml_iam.policy import Condition
    from cml_iam.space import KeyCondition


_ATTRIBUTES: Final = {
    "Action": "action",
    "NotAction": "not_action",
    "Resource": "resource",
    "NotResource": "not_resource",
}

Said = tuple[Statement, str]
"""A statement and the version of its document, which decides whether it has policy variables."""


@dataclass(frozen=True, slots=True)
class Named:
    """One element of `Action` with the existing actions it names.

    *everything* is true for `*`, *exact* for the name of one action without wildcards.
    """

    index: int
    text: str
    actions: tuple[Action, ...]
    everything: bool
    exact: bool


@dataclass(frozen=True, eq=False)
class Item(Part):
    """A statement of *document* with its place, and the parts of the service reference it names.

    *written* is the statement as written; `statement` is its equivalent in an identity-based
    policy.
    """

    document: PolicyDocument
    written: Statement

    @property
    def label(self) -> str:
        """The display name of the statement."""
        return self.statement.label

    @property
    def allows(self) -> bool:
        """Whether the effect is Allow."""
        return self.statement.effect == "Allow"

    @property
    def grants(self) -> str:
        """The verb for the statement's effect: `grants` or `refuses`."""
        return "grants" if self.allows else "refuses"

    @cached_property
    def said(self) -> Said:
        """The statement without number and Sid, and the version; equal for equal statements."""
        return replace(self.statement, index=0, sid=None), self.document.version

    @cached_property
    def raw(self) -> dict[str, Any]:
        """The parsed statement as in the text; empty if there is no text."""
        located = self.document.located
        value: Any = located.value if located else {}
        for part in self.document.path(self.written) if located else ():
            value = value[part]
        return dict(value)

    def place(self, *element: str | int) -> Place | None:
        """Return the place of the statement, or of its *element*."""
        located = self.document.located
        if located is None or not element or not isinstance(element[-1], int):
            return self.document.place(self.written, *element)
        path = (*self.document.path(self.written), *element)
        return located.place(path)

    def found(
        self,
        message: str,
        place: Place | None,
        remedy: str | None = None,
        witness: tuple[Step, ...] = (),
        correction: Correction | None = None,
    ) -> Found:
        """Return a finding about the statement."""
        return Found(message, place, remedy, self.label, witness, correction)

    def texts(self, *elements: str) -> Iterator[tuple[str, str, Place | None]]:
        """Yield each text in (Not)Action and (Not)Resource, with its element and place."""
        for element in elements:
            for index, text in enumerate(getattr(self.written, _ATTRIBUTES[element]) or ()):
                yield element, text, self.place(element, index)

    def ids(self, kind: str) -> tuple[str, ...]:
        """Return the statement's principals of one *kind*, such as `AWS` or `Service`."""
        pairs = self.written.principal.ids if self.written.principal else ()
        return tuple(name for named, names in pairs if named == kind for name in names)

    @property
    def caller(self) -> str | None:
        """A principal that the statement names, an account as its root user; None for anonymous."""
        pairs = self.written.principal.ids if self.written.principal else ()
        name = next((name for _, names in pairs for name in names if name != "*"), None)
        return f"arn:aws:iam::{name}:root" if name and name.isdecimal() else name

    def condition_place(self, condition: Condition, value: int | None = None) -> Place | None:
        """Return the place of *condition*, or of the value with the number *value* in it."""
        path = ("Condition", condition.operator, condition.key)
        return self.place(*path) if value is None else self.place(*path, value)

    @property
    def variable_keys(self) -> frozenset[str]:
        """The keys of the policy variables, by `same_key`."""
        return self.needs.union(*(condition.needs() for condition in self.asked))

    @cached_property
    def named(self) -> tuple[Named, ...]:
        """The actions named by each element of `Action`; empty for NotAction."""
        return tuple(_named(i, text) for i, text in enumerate(self.statement.action or ()))

    @cached_property
    def actions(self) -> dict[str, Action]:
        """Every existing action that `Action` names, by its full name; none for `*`."""
        return {action.full: action for element in self.named for action in element.actions}

    @cached_property
    def everything(self) -> bool:
        """Whether `Action` includes every action."""
        return any(each.everything for each in self.named)

    @property
    def unlisted(self) -> bool:
        """Whether the statement is about more actions than it names: by `*`, or by NotAction."""
        return self.everything or self.statement.not_action is not None

    def says(self, action: Action) -> bool:
        """Return whether the statement is about *action*."""
        excluded = self.statement.not_action
        if excluded is not None:
            return not any(pattern_matches(e, action.full, ignore_case=True) for e in excluded)
        return self.everything or action.full in self.actions

    def matches(self, request: Request) -> bool:
        """Return whether the statement matches *request*, whose action it must be about."""
        resource, conditions = self.compiled.rule
        context = request.context
        return (resource is None or resource(request.resource, context)) and all(
            test(context) for test in conditions
        )

    @cached_property
    def resources(self) -> tuple[tuple[str, ArnPattern], ...]:
        """The elements of `Resource` that can match something."""
        read = (
            (text, arn_pattern(text, variables=self.variables))
            for text in self.statement.resource or ()
        )
        return tuple((text, pattern) for text, pattern in read if pattern)

    def reaches(self, target: Target) -> bool:
        """Return whether the statement's resources may include *target*."""
        key = target.type, target.arns
        if key not in self._reached:
            self._reached[key] = self.statement.resource is None or any(
                names(text, pattern, target) for text, pattern in self.resources
            )
        return self._reached[key]

    @cached_property
    def _reached(self) -> dict[tuple[str, tuple[ArnPattern, ...]], bool]:
        """The cached results of `reaches`."""
        return {}

    def targets(self, action: Action) -> tuple[Target, ...]:
        """Return the targets of *action* that the statement's resources may include."""
        if action.full not in self._targets:
            found = tuple(target for target in action.targets if self.reaches(target))
            self._targets[action.full] = found
        return self._targets[action.full]

    @cached_property
    def _targets(self) -> dict[str, tuple[Target, ...]]:
        return {}


@dataclass(frozen=True, eq=False)
class Subject:
    """Documents in effect together, all of the same *kind*."""

    documents: tuple[PolicyDocument, ...]
    kind: Kind

    @property
    def _of_principal(self) -> list[PolicyDocument]:
        """The documents as policies of a principal, whatever their kind."""
        return [
            replace(document, statements=tuple(map(as_attached, document.statements)))
            for document in self.documents
        ]

    @cached_property
    def authorizer(self) -> Authorizer:
        """The engine on these documents."""
        return compile_policies(identity=self._of_principal)

    @cached_property
    def items(self) -> tuple[Item, ...]:
        """Every statement of every document."""
        written = [(document, one) for document in self.documents for one in document.statements]
        compiled = self.authorizer.gates[0].statements
        return tuple(Item(each, *where) for each, where in zip(compiled, written, strict=True))

    @cached_property
    def allows(self) -> tuple[Item, ...]:
        """The statements whose effect is Allow."""
        return tuple(item for item in self.items if item.allows)

    @cached_property
    def denies(self) -> tuple[Item, ...]:
        """The statements whose effect is Deny."""
        return tuple(item for item in self.items if not item.allows)

    def asked(self, family: str | None = None) -> Iterator[tuple[Item, KeyCondition]]:
        """Yield every condition with its statement, or those that compare values of *family*."""
        for item in self.items:
            yield from (
                (item, condition) for condition in item.asked if family in {None, condition.family}
            )

    @property
    def attached(self) -> bool:
        """Whether the documents define what one principal may do."""
        return self.kind in {"identity", "boundary"}

    def concerning(self, *actions: Action) -> tuple[Item, ...]:
        """Return the statements about any of *actions*."""
        names = tuple(action.full for action in actions)
        if names not in self._concerning:
            found = tuple(item for item in self.items if any(map(item.says, actions)))
            self._concerning[names] = found
        return self._concerning[names]

    @cached_property
    def _concerning(self) -> dict[tuple[str, ...], tuple[Item, ...]]:
        return {}

    def granting(self, request: Request) -> Item | None:
        """Return a statement that decides *request*, or None."""
        allowed = self.authorizer.decide(request).allowed
        matched = {id(each.statement) for _, each in self.authorizer.matched(request)}
        found = (item for item in self.items if id(item.statement) in matched)
        return next((item for item in found if item.allows is allowed), None)

    def step(self, request: Request, says: str) -> Step:
        """Decide *request*, and return it as a step of a witness."""
        return Step(request, self.authorizer.decide(request).outcome, says)

    @cached_property
    def account(self) -> str | None:
        """The first account that an ARN of the documents names."""
        return self._named_in_arns(4, r"[0-9]{12}")

    @cached_property
    def partition(self) -> str | None:
        """The first partition that an ARN of the documents names."""
        return self._named_in_arns(1, r"aws[a-z-]*")

    def _named_in_arns(self, field: int, expression: str) -> str | None:
        patterns = (pattern for item in self.items for _, pattern in item.resources)
        named = (pattern[field] for pattern in patterns)
        return next((text for text in named if re.fullmatch(expression, text)), None)


def as_attached(statement: Statement) -> Statement:
    """Return *statement* in the form it would have in an identity-based policy.

    The engine refuses a statement with a principal or without a resource; a separate rule reports
    those.
    """
    if statement.principal is not None or statement.not_principal is not None:
        statement = replace(statement, principal=None, not_principal=None)
    if statement.resource is None and statement.not_resource is None:
        statement = replace(statement, resource=("*",))
    return statement


def names(text: str, pattern: ArnPattern, target: Target) -> bool:
    """Return whether the element *text* of `Resource` can match *target*.

    Only `*` matches an action without a specific resource.
    """
    if not target.type:
        return text == "*"
    return not target.arns or any(overlap(pattern, arn) for arn in target.arns)


def demands_text(asked: KeyCondition) -> bool:
    """Return whether a condition requires the key to be present with one of its values."""
    operator = asked.operator
    plain = operator.base in {"stringequals", "stringlike", "stringequalsignorecase"}
    return plain and operator.known and not operator.if_exists and not operator.qualifier


def how_often(asked: KeyCondition) -> str:
    """Say how often a condition holds for requests without its key."""
    return "always" if asked.test({}) else "never"


@cache
def lifecycle() -> tuple[Action, ...]:
    """Return the actions with which the manager changes its instances, the worst first."""
    changing = (permission for permission in load_catalogue().changing if permission.on_worker)
    return tuple(ec2_action(permission.name) for permission in changing)[::-1]


def ec2_action(name: str) -> Action:
    """Return the EC2 action *name*, which must exist."""
    ec2 = facts.service("ec2")
    action = ec2.action(name) if ec2 else None
    assert action is not None  # noqa: S101 - a name of ours that AWS has
    return action


def _named(index: int, text: str) -> Named:
    if text in {"*", "*:*"}:
        return Named(index, text, (), everything=True, exact=False)
    prefix, _, name = text.partition(":")
    owner = facts.service(prefix)
    exact = "*" not in text and "?" not in text
    actions = owner.matching(name) if owner and name else ()
    return Named(index, text, actions, everything=False, exact=exact)
