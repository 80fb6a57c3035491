"""Statements after substituting known facts; what remains is often the same for many principals.

A condition on known keys is decided: if it holds, it is dropped, otherwise its statement is. Known
policy variables become text. It is also decided whether a statement matches a fully named resource.
Principals with equivalent policies end up with the same statements.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import lru_cache
from typing import Final, NamedTuple

from cml_iam.engine import OperatorName, PolicyType
from cml_iam.engine.parts import (
    FIELDS,
    Caller,
    CompiledStatement,
    Keys,
    MalformedVariableError,
    Naming,
    Wildcard,
    naming,
    resource_pattern,
    tokens,
    variable_keys,
)
from cml_iam.facts import REGION, ArnPattern, arn_pattern, names_of, overlap, region_is_of_resource
from cml_iam.policy import (
    VERSION_2012,
    Arn,
    Condition,
    PolicyDocument,
    Principals,
    Shape,
    Statement,
    pattern_matches,
)
from cml_iam.prove import statement_of
from cml_iam.who._account import Account, Member, named, session_of

USER_ID: Final = "aws:userid"
ESCAPED: Final = {"*": "${*}", "?": "${?}", "$": "${$}"}
EVERYONE: Final = Principals(everyone=True)
TAGS: Final = "aws:principaltag/"
SETTLED: Final = frozenset({"stringequals", "arnequals", "bool"})
"""Operators that fix the value of their key in the request."""


class Origin(NamedTuple):
    """The origin of a statement: a *policy* by name, its *type*, and its *group*, if any."""

    policy: str
    statement: str
    group: str | None = None
    type: PolicyType = "identity"

    @property
    def words(self) -> str:
        """The names of policy and statement."""
        where = f" (group {self.group})" if self.group else ""
        return f"{self.statement} of {self.policy}{where}"


@dataclass(frozen=True, slots=True)
class Facts:
    """The values of condition keys, by lower case; None for a key known to be absent.

    With *tags*, requests have no other tags of the principal. *like* are the patterns of values
    that are not known exactly.
    """

    values: Mapping[str, str | None]
    tags: bool = False
    like: Mapping[str, str] = field(default_factory=dict)

    def knows(self, key: str) -> bool:
        """Return whether the value of *key*, or its absence, is known."""
        name = key.lower()
        return name in self.values or (self.tags and name.startswith(TAGS))

    def without_tags(self) -> Facts:
        """Return the same facts without those about the principal's tags."""
        values = {k: value for k, value in self.values.items() if not k.startswith(TAGS)}
        return Facts(values, tags=False, like=self.like)

    @property
    def context(self) -> dict[str, str]:
        """The known values as a request context."""
        return {key: value for key, value in self.values.items() if value is not None}


def reduced(compiled: CompiledStatement, action: str, facts: Facts) -> Statement | None:
    """Return what remains of *compiled* for *action* given *facts*; None if it never applies."""
    put = _Putting(facts, variables=compiled.document.version == VERSION_2012)
    conditions = put.conditions(compiled)
    if conditions is None:
        return None
    resource, outside = compiled.statement.resource, compiled.statement.not_resource
    if resource is not None:
        resource = put.texts(resource, arns=True)
        if not resource:
            return None
    if outside is not None:
        left = put.texts(outside, arns=True)
        if len(left) < len(outside):
            return None  # an element whose variable has no value leaves nothing to match
        outside = left
    whole = resource is not None and "*" in resource
    return Statement(
        0,
        compiled.statement.effect,
        action=(action,),
        resource=("*",) if whole else resource,
        not_resource=outside,
        conditions=conditions,
    )


def on(statement: Statement, kind: PolicyType, resource: str) -> Statement | None:
    """Return *statement* for requests on *resource*, an ARN or an ARN pattern.

    None if the statement is only about other resources. If *resource* is a full ARN that the
    statement matches, the result matches every resource.
    """
    texts = statement.resource if statement.not_resource is None else statement.not_resource
    if texts is None or statement.resource == ("*",):
        return statement
    plain = not {"*", "?"} & set(resource)
    answers = [_named(text, kind, resource) if plain else None for text in texts]
    if statement.not_resource is not None:
        if plain and None not in answers:
            return None if any(answers) else replace(statement, resource=("*",), not_resource=None)
        return statement
    if any(answers):
        return replace(statement, resource=("*",))
    pattern = arn_pattern(resource)
    left = tuple(
        text
        for text, answer in zip(texts, answers, strict=True)
        if answer is None and _meets(arn_pattern(text), pattern)
    )
    return replace(statement, resource=left) if left else None


@lru_cache(1 << 16)
def _named(text: str, kind: PolicyType, resource: str) -> bool | None:
    """Return whether *text* matches *resource*; None if that depends on a policy variable."""
    pattern = resource_pattern(text, kind, variables=True, keys=Keys())
    return True if pattern.spoils else pattern.matches(resource, {})


def _meets(one: ArnPattern | None, other: ArnPattern | None) -> bool:
    return one is None or other is None or overlap(one, other)


def spoken_to(
    compiled: CompiledStatement, member: Member, *, bounded: bool
) -> Iterator[tuple[Principals, tuple[Condition, ...]]]:
    """Yield how a statement of a resource policy names *member*; nothing if it does not.

    Each result is the principals that take the place of the statement's, and conditions on the
    session. A statement for everyone counts as naming the member directly; naming the account
    counts as naming the member's account. *bounded* says that the member has a boundary.
    """
    statement = compiled.statement
    parsed = Caller.parse(member.arn)
    how = naming(statement, parsed, bounded=bounded)
    users = tuple(_users_of_sessions(statement, member))
    if how is Naming.DIRECTLY or (how is not Naming.NOT and statement.effect == "Deny"):
        excepted = users if statement.not_principal is not None and not bounded else ()
        conditions = (Condition("StringNotEquals", USER_ID, excepted),) if excepted else ()
        yield EVERYONE, conditions
        return
    if how is not Naming.NOT:
        name = stand_in(member.arn) if how is Naming.IDENTITY else parsed.account or ""
        yield Principals(everyone=False, ids=(("AWS", (name,)),)), ()
    if users and statement.principal is not None:
        yield EVERYONE, (Condition("StringEquals", USER_ID, users),)


def _users_of_sessions(statement: Statement, member: Member) -> Iterator[str]:
    """Yield the user id of each session of *member* that *statement* names.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html#principal-role-session
    """
    for kind, name in named(statement.principal or statement.not_principal):
        session = session_of(name) if kind == "AWS" and member.kind == "role" else None
        if session and (session.account, session.role) == (member.account, member.name):
            yield f"{member.id}:{session.name}"


def federated_users(document: PolicyDocument, account: str) -> Iterator[str]:
    """Yield the federated-user sessions of *account* that an Allow of *document* names."""
    start = f":sts::{account}:federated-user/"
    for statement in document.statements:
        for kind, name in named(statement.principal) if statement.effect == "Allow" else ():
            if kind == "AWS" and start in name:
                yield name.partition(start)[2]


def stand_in(caller: str) -> str:
    """Return the ARN that represents *caller* and all others of its kind."""
    arn = Arn.parse(caller)
    kind = arn.resource.partition("/")[0]
    return f"arn:{arn.partition}:iam::{arn.account}:{kind}/caller"


class _Putting:
    """Substitutes known facts into the texts of one document."""

    def __init__(self, facts: Facts, *, variables: bool) -> None:
        self._facts, self._variables = facts, variables

    def conditions(self, statement: CompiledStatement) -> tuple[Condition, ...] | None:
        """Return the conditions that remain undecided; None if one certainly does not hold."""
        left: list[Condition | None] = []
        for compiled in statement.conditions:
            condition = compiled.condition
            texts = condition.values if self._variables else ()
            keys = [condition.key, *(key for text in texts for key in variable_keys(text))]
            if not all(map(self._facts.knows, keys)):
                left.append(self._condition(condition))
            elif not compiled.test(self._facts.context):
                return None
        possible = tuple(condition for condition in left if condition is not None)
        return possible if len(possible) == len(left) else None

    def _condition(self, condition: Condition) -> Condition | None:
        """Return *condition* with known values; None if it never holds.

        A variable without a value neither equals anything nor certainly differs from it.
        """
        name = OperatorName.parse(condition.operator)
        values = self.texts(condition.values, arns=name.base.startswith("arn"))
        if values and (len(values) == len(condition.values) or not name.negated):
            return replace(condition, values=values)
        if name.matches_missing_key:
            return Condition("Null", condition.key, ("true",))
        return None

    def texts(self, texts: tuple[str, ...], *, arns: bool = False) -> tuple[str, ...]:
        """Return *texts* except those with a variable that has no value, which match nothing."""
        results = (self._text(text, arns=arns) for text in texts)
        return tuple(text for text in results if text is not None)

    def _text(self, text: str, *, arns: bool) -> str | None:
        if "${" not in text:
            return text
        try:
            parts = tokens(text, variables=self._variables, wildcards=True, keys=Keys())
        except MalformedVariableError:
            return text  # it matches nothing
        result = ""
        for part in parts:
            if isinstance(part, Wildcard):
                result += part.value
            elif isinstance(part, str):
                result += _escaped(part)
            elif not self._facts.knows(part.key):
                default = "" if part.default is None else f", '{part.default}'"
                result += f"${{{part.key}{default}}}"
            else:
                value = self._facts.values.get(part.key.lower()) or part.default
                if value is None or (arns and ":" in value and result.count(":") < FIELDS - 1):
                    return None
                result += _escaped(value)
        return result


def _escaped(text: str) -> str:
    return "".join(ESCAPED.get(char, char) for char in text)


def facts_of(member: Member, account: Account, now: datetime) -> Facts:
    """Return the facts about requests of *member* at the time *now*.

    A role's session may have more tags if its trust policy lets somebody pass session tags.
    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html
    """
    values: dict[str, str | None] = {
        "aws:principalarn": member.arn,
        "aws:principalaccount": account.number,
        "aws:principaltype": "User" if member.kind == "user" else "AssumedRole",
        "aws:principalisawsservice": "false",
        "aws:principalservicename": None,
        "aws:currenttime": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "aws:epochtime": str(int(now.timestamp())),
        "aws:username": member.name if member.kind == "user" else None,
    }
    if account.organization:
        values["aws:principalorgid"] = account.organization
    like = {}
    if member.kind == "user":
        values["aws:userid"] = member.id
    else:
        like["aws:userid"] = f"{member.id}:*"
    fixed = member.trust is None or not passes_tags(member.trust)
    if fixed:
        tags = member.holdings.tags.items()
        values |= {TAGS + key.lower(): value for key, value in tags}
    return Facts(values, fixed, like)


def passes_tags(trust: PolicyDocument) -> bool:
    """Return whether *trust* lets anybody pass session tags.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/id_session-tags.html
    """
    for statement in trust.statements:
        if statement.effect == "Allow":
            actions = statement.action or statement.not_action or ()
            matches = any(pattern_matches(action.lower(), "sts:tagsession") for action in actions)
            if matches is (statement.action is not None):
                return True
    return False


def facts_of_question(shape: Shape) -> dict[str, str | None]:
    """Return the values that every request of *shape* has, by its conditions and its region.

    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/iam-policies-ec2-console.html
    """
    values: dict[str, str | None] = {}
    actions = shape.actions if shape.not_actions is None else ()
    for condition in statement_of(shape).conditions:
        operator = condition.operator.lower()
        value = condition.values[0] if len(condition.values) == 1 else None
        absent = operator == "null" and value == "true"
        if absent or (value is not None and operator in SETTLED and "${" not in value):
            for action in actions or ("*",):
                names = map(str.lower, names_of(condition.key, action))
                values |= dict.fromkeys(names, None if absent else value)
    regions = {_region(resource) for resource in shape.resources}
    if actions and len(regions) == 1 and all(map(region_is_of_resource, actions)):
        region = regions.pop()
        if region:
            for action in actions:
                values |= dict.fromkeys(map(str.lower, names_of(REGION, action)), region)
    return values


def _region(resource: str) -> str | None:
    fields = resource.split(":", 5)
    region = fields[3] if len(fields) == 6 else ""
    return None if not region or {"*", "?", "$"} & set(region) else region
