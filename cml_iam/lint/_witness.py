"""Requests that prove findings about two statements."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cml_iam.facts import same_key
from cml_iam.lint._finding import Step
from cml_iam.lint._sample import requests
from cml_iam.lint._subject import as_attached
from cml_iam.policy import PolicyDocument

if TYPE_CHECKING:
    from cml_iam.engine import Authorizer, Request
    from cml_iam.facts import Target
    from cml_iam.lint._subject import Item, Named, Subject


def alone(item: Item) -> Authorizer:
    """Return the engine on one statement and nothing else."""
    from cml_iam.engine import compile_policies

    document = PolicyDocument(
        (as_attached(item.statement),), item.document.version, name=item.document.name
    )
    return compile_policies(identity=[document])


def forbidden_but_allowed(
    item: Item, covers: list[tuple[Item, Named]], subject: Subject
) -> tuple[Step, ...]:
    """Return a request that *item* seems to forbid and the documents allow; or nothing."""
    return _decided_otherwise(item, covers, subject, alone_allows=False)


def allowed_but_denied(
    item: Item, covers: list[tuple[Item, Named]], subject: Subject
) -> tuple[Step, ...]:
    """Return a request that *item* seems to allow and the documents refuse; or nothing."""
    return _decided_otherwise(item, covers, subject, alone_allows=True)


def _decided_otherwise(
    item: Item, covers: list[tuple[Item, Named]], subject: Subject, *, alone_allows: bool
) -> tuple[Step, ...]:
    only = alone(item)
    for wide, element in covers:
        for action in element.actions[:8]:
            for target in sorted(action.targets, key=lambda each: _rank(each, item)):
                found = next(
                    (
                        request
                        for request in requests(subject, action, target, [item, wide])
                        if only.decide(request).allowed is alone_allows
                        and subject.authorizer.decide(request).allowed is not alone_allows
                    ),
                    None,
                )
                if found:
                    outcome = subject.authorizer.decide(found).outcome
                    return (Step(found, outcome, describe(found, item, wide)),)
    return ()


def _rank(target: Target, item: Item) -> tuple[bool, ...]:
    """Put first what *item* is about, and what an action is about in the first place."""
    keys = [each.key for each in item.statement.conditions]
    return (
        not item.reaches(target),
        not all(target.keys.has(key) for key in keys),
        target.type != "instance",
        not target.required,
    )


def describe(request: Request, *items: Item) -> str:
    """Tell *request* in words, with the condition keys that *items* ask for."""
    asked = {
        same_key(each.key): each.key
        for item in reversed(items)
        for each in item.statement.conditions
    }
    known = {same_key(key): value for key, value in request.context.items()}
    parts = [_part(key, known.get(name)) for name, key in asked.items()]
    where = f" on {request.resource}" if request.resource != "*" else ""
    return f"{request.action}{where}" + (f" ({', '.join(parts)})" if parts else "")


def _part(key: str, value: str | list[str] | None) -> str:
    if value is None:
        return f"without {key}"
    return f"{key}={', '.join(value) if isinstance(value, list) else value}"
