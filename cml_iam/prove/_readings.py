"""How a proof reads what AWS does not document, or documents in two ways."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from cml_iam.engine.parts import Keys, Scope, compile_condition
from cml_iam.facts import Assumption, same_key

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cml_iam.engine import Request
    from cml_iam.space import Goal, KeyCondition, Part

NO_VALUE: Final = Assumption(
    "reading",
    "NotResource",
    "a statement, even a Deny, matches nothing if a policy variable in its NotResource has no "
    "value; AWS does not document this",
    "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html",
)
EMPTY: Final = Assumption(
    "reading",
    "ForAllValues",
    "ForAllValues and ForAnyValue read an empty value as none, and Null beside them as one; AWS's "
    "page of examples has Null read it as none, too",
    "https://docs.aws.amazon.com/IAM/latest/UserGuide/"
    "reference_policies_condition-single-vs-multi-valued-context-keys.html",
)


def readings(goal: Goal, request: Request | None = None) -> set[Assumption]:
    """Return the readings that the answer depends on.

    The answer for *request* or, without one, for all requests of *goal*.
    """
    against = {part for group in (goal.refused, *goal.or_not) for part in group}
    found = set()
    for part in goal.parts():
        unset = part.resolves() if part.statement.not_resource is not None else ()
        if any(request is None or not test.holds(request.context) for test in unset):
            found.add(NO_VALUE)
        for asked, holds in _of_empty(part):
            if _is_empty(request, asked) if request else holds is (part in against):
                found.add(EMPTY)
    return found


def _of_empty(part: Part) -> Iterator[tuple[KeyCondition, bool]]:
    """Yield the conditions that another reading of an empty value answers otherwise.

    With the engine's answer. The other reading takes the value for a text; Null beside it, which
    then prevents what an empty value meets, takes it for none.
    """
    listed = {same_key(each.condition.key) for each in part.asked if each.operator.qualifier}
    scope = Scope(variables=part.variables, keys=Keys())
    for asked in part.asked:
        condition = asked.condition
        if same_key(condition.key) not in listed or not asked.operator.known:
            continue
        empty = {condition.key: ""}
        holds = asked.test(empty)
        if asked.family == "null":
            differs = not asked.operator.qualifier
        else:
            plain = replace(condition, operator=condition.operator.rpartition(":")[2])
            differs = compile_condition(plain, scope).test(empty) is not holds
        if differs:
            yield asked, holds


def _is_empty(request: Request, asked: KeyCondition) -> bool:
    """Return whether the key of *asked* is in *request*, without a text."""
    name = same_key(asked.condition.key)
    return any(same_key(key) == name and not any(value) for key, value in request.context.items())
