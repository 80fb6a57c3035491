"""Tags demanded at launch: condition keys do not mind the case of a tag's key, EC2 does.

https://docs.aws.amazon.com/IAM/latest/UserGuide/access_tags.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cml_iam import facts
from cml_iam.lint._conditions import parse_operator
from cml_iam.lint._corrections import spelled_tag
from cml_iam.lint._finding import Found
from cml_iam.lint._gates import NEGATED, tag_request, twin_of, values_of
from cml_iam.lint._sample import concerning, requests
from cml_iam.lint._tags import step

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cml_iam.engine import Request
    from cml_iam.facts import Action
    from cml_iam.lint._subject import Item, Subject
    from cml_iam.policy import Condition

REQUEST_PREFIX: Final = "aws:requesttag/"


def launched_by_case(subject: Subject) -> Iterator[Found]:
    """Yield tags demanded at launch that a launch can spell in another case."""
    ec2 = facts.service("ec2")
    run = ec2.action("RunInstances") if ec2 else None
    if run is None or not subject.attached:
        return
    for item in concerning(subject, run):
        for condition in item.statement.conditions:
            if _demands_tag(item, condition):
                found = _launch_in_other_case(subject, item, condition, run)
                if found:
                    yield found


def _demands_tag(item: Item, condition: Condition) -> bool:
    op = parse_operator(condition.operator)
    if op is None or op.qualifier or not condition.key.lower().startswith(REQUEST_PREFIX):
        return False
    demands = op.positive_text if item.allows else op.negated and op.base in NEGATED
    return demands and bool(values_of(condition))


def _launch_in_other_case(
    subject: Subject, item: Item, condition: Condition, run: Action
) -> Found | None:
    tag, value = condition.key.partition("/")[2], values_of(condition)[0]
    twin = twin_of(tag)
    for target in item.targets(run):
        if not target.type or not target.keys.has(condition.key):
            continue
        launches = (
            (request, without)
            for request in requests(
                subject, run, target, concerning(subject, run), fixed=tag_request({twin: value})
            )
            for without in [_untagged(request)]
            if subject.authorizer.decide(request).allowed
            and not subject.authorizer.decide(without).allowed
        )
        found = next(launches, None)
        if found:
            return _launched(subject, item, condition, twin, found)
    return None


def _untagged(request: Request) -> Request:
    kept = {
        key: value
        for key, value in request.context.items()
        if not key.lower().startswith((REQUEST_PREFIX, "aws:tagkeys"))
    }
    return request._replace(context=kept)


def _launched(
    subject: Subject,
    item: Item,
    condition: Condition,
    twin: str,
    found: tuple[Request, Request],
) -> Found:
    tag, value = condition.key.partition("/")[2], values_of(condition)[0]
    launch, without = found
    return Found(
        f"the tag demanded at launch can be spelled `{twin}`: condition keys do not mind the case, "
        f"EC2 does, and whoever looks for `{tag}` does not find what was launched so",
        item.condition_place(condition),
        f"demand the spelling too: `ForAnyValue:StringEquals` on `aws:TagKeys` with `{tag}`",
        item.label,
        (
            step(subject, without, f"{launch.action} on {launch.resource}, without the tag"),
            step(subject, launch, f"{launch.action} on it, with the tag {twin}={value}"),
        ),
        spelled_tag(item, tag),
    )
