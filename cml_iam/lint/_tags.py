"""Tags as gates: who may set a tag may do whatever the tag opens.

https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/control-access-with-tags.html
https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/supported-iam-actions-tagging.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cml_iam import facts
from cml_iam.facts import arn_pattern, covers, same_key
from cml_iam.lint._corrections import guarded_tag
from cml_iam.lint._finding import Found, Step
from cml_iam.lint._gates import (
    Gate,
    gate_conditions,
    gated_actions,
    gates,
    taggings,
    twin_of,
    values_of,
    wipes,
)
from cml_iam.lint._proved import TagProof
from cml_iam.lint._sample import granting, resource_tag, says

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cml_iam.engine import Request
    from cml_iam.facts import Action
    from cml_iam.lint._edits import Correction
    from cml_iam.lint._subject import Item, Subject
    from cml_iam.policy import Condition


def gate_open(subject: Subject) -> Iterator[Found]:
    """Yield tag conditions that the caller can meet by setting the tag."""
    for item, condition in gate_conditions(subject):
        found = _first_way(subject, item, condition, twin=False)
        if found:
            gate, request = found
            yield _opened(subject, gate, request, gate.tag)
        elif not _first_way(subject, item, condition, twin=True):
            yield from _opened_somehow(subject, item, condition)


def gate_open_by_case(subject: Subject) -> Iterator[Found]:
    """Yield tag conditions whose tag is guarded, but not in another spelling of its case."""
    for item, condition in gate_conditions(subject):
        if _first_way(subject, item, condition, twin=False):
            continue
        found = _first_way(subject, item, condition, twin=True)
        if found:
            gate, request = found
            yield _opened(subject, gate, request, twin_of(gate.tag))


def tag_wiped(subject: Subject) -> Iterator[Found]:
    """Yield tag conditions whose tag the caller can remove: what it managed is lost to it."""
    for item, condition in gate_conditions(subject):
        proof = _proof(subject, item, condition)
        if not proof.targets or proof.never_taken():
            continue
        ways = (
            (gate, request)
            for gate in gates(subject, item, condition)
            for request in wipes(subject, gate)
        )
        found = next(ways, None) or _wiped_somehow(subject, item, condition, proof)
        if found:
            yield _wiped(subject, *found)


def _first_way(
    subject: Subject, item: Item, condition: Condition, *, twin: bool
) -> tuple[Gate, Request] | None:
    key = ("first way", id(item), condition, twin)
    if key not in subject.found and not _can_be_given(subject, item, condition):
        subject.found[key] = None
    if key not in subject.found:
        ways = (
            (gate, request)
            for gate in gates(subject, item, condition)
            for request in taggings(subject, gate, twin_of(gate.tag) if twin else gate.tag)
        )
        subject.found[key] = next(ways, None)
    found: tuple[Gate, Request] | None = subject.found[key]
    return found


def _proof(subject: Subject, item: Item, condition: Condition) -> TagProof:
    """Return the questions to be proved about *condition*."""
    actions = tuple(gated_actions(item))
    targets = (
        target
        for action in actions
        for target in item.targets(action)
        if target.type and target.keys.has(condition.key)
    )
    return TagProof(subject, condition, actions, tuple(targets))


def _can_be_given(subject: Subject, item: Item, condition: Condition) -> bool:
    """Say whether a call may give a resource the tag; False is proved."""
    proof = _proof(subject, item, condition)
    return bool(proof.targets) and not proof.never_given()


def _opened_somehow(subject: Subject, item: Item, condition: Condition) -> Iterator[Found]:
    """Yield the finding that a proof has the witness of, where no sample had one."""
    if not _can_be_given(subject, item, condition):
        return
    proof = _proof(subject, item, condition)
    value = values_of(condition)[0]
    calls = proof.way_in(value)
    gate = _gate_of(subject, item, condition, proof, calls[-1]) if calls else None
    if gate:
        yield _opened(subject, gate, calls[0], gate.tag)


def _wiped_somehow(
    subject: Subject, item: Item, condition: Condition, proof: TagProof
) -> tuple[Gate, Request] | None:
    way = proof.way_out()
    gate = _gate_of(subject, item, condition, proof, way[0]) if way else None
    return (gate, way[1]) if gate else None


def _gate_of(
    subject: Subject, item: Item, condition: Condition, proof: TagProof, opened: Request
) -> Gate | None:
    """Return *condition* as the gate of the allowed request *opened*, if it is in the way there."""
    tag = condition.key.partition("/")[2]
    carried = {same_key(key) for key in resource_tag(tag, "")}
    shut = opened._replace(
        context={k: v for k, v in opened.context.items() if same_key(k) not in carried}
    )
    if subject.authorizer.decide(shut).allowed:
        return None
    action = next((each for each in proof.actions if each.full == opened.action), None)
    arn = arn_pattern(opened.resource, variables=False)
    target = next((t for t in proof.targets if arn and any(covers(a, arn) for a in t.arns)), None)
    if action is None or target is None:
        return None
    return Gate(item, condition, tag, values_of(condition)[0], action, target, opened, shut)


def _opened(subject: Subject, gate: Gate, tagging: Request, tag: str) -> Found:
    opened = gate.shut._replace(context={**gate.shut.context, **resource_tag(tag, gate.value)})
    name = gate.action.full
    spelled = "" if tag == gate.tag else f", spelled `{tag}`: condition keys do not mind the case"
    return Found(
        f"the gate can be opened by its own caller: {_granter(subject, tagging)} lets it set the "
        f"tag `{gate.tag}={gate.value}` on any {gate.target.type} without it{spelled}; then "
        f"{name} is allowed",
        gate.item.condition_place(gate.condition),
        _guard_remedy(gate),
        gate.item.label,
        (
            step(subject, gate.shut, f"{name} on {gate.shut.resource}, without the tag"),
            step(subject, tagging, f"ec2:CreateTags {tag}={gate.value} on it"),
            step(subject, opened, f"{name} on it"),
        ),
        _guarded(subject, tagging, gate),
    )


def _guard_remedy(gate: Gate) -> str:
    return (
        "allow ec2:CreateTags only at launch (`ec2:CreateAction` is `RunInstances`), and later "
        f"only on resources that have the tag, never for the key: "
        f"`ForAllValues:StringNotEqualsIgnoreCase` on `aws:TagKeys` with `{gate.tag}`"
    )


def _wiped(subject: Subject, gate: Gate, wipe: Request) -> Found:
    how = _how_wiped(gate, wipe)
    return Found(
        f"the tag `{gate.tag}` can be taken from a managed {gate.target.type}: "
        f"{_granter(subject, wipe)} allows it, and then {gate.action.full} is refused",
        gate.item.condition_place(gate.condition),
        "allow ec2:CreateTags and ec2:DeleteTags only with `Null` on `aws:TagKeys` being `false` "
        f"and `ForAllValues:StringNotEqualsIgnoreCase` on `aws:TagKeys` with `{gate.tag}`",
        gate.item.label,
        (
            step(subject, wipe, how),
            step(subject, gate.shut, f"{gate.action.full} on it, now without the tag"),
        ),
        _guarded(subject, wipe, gate),
    )


def _guarded(subject: Subject, request: Request, gate: Gate) -> Correction | None:
    """Return how to keep the statement that allows *request* from the tag of *gate*.

    One that also lets a launch set the tag cannot be guarded so: then no launch could.
    """
    item = granting(subject, request)
    if item is None:
        return None
    run, create = _ec2_action("RunInstances"), _ec2_action("CreateTags")
    launches = any(run and says(each, run) for each in subject.allows)
    others = (each for each in subject.allows if each is not item and create)
    elsewhere = any(create and says(each, create) and _only_at_launch(each) for each in others)
    if _only_at_launch(item) or (launches and "ec2:CreateTags" in item.actions and not elsewhere):
        return None
    return guarded_tag(item, gate.tag)


def _only_at_launch(item: Item) -> bool:
    return any(each.key.lower() == "ec2:createaction" for each in item.statement.conditions)


def _ec2_action(name: str) -> Action | None:
    ec2 = facts.service("ec2")
    return ec2.action(name) if ec2 else None


def _how_wiped(gate: Gate, wipe: Request) -> str:
    if "aws:TagKeys" not in wipe.context:
        return f"ec2:DeleteTags without naming tags, which deletes all, on {wipe.resource}"
    sent = {same_key(key): value for key, value in wipe.context.items()}
    set_to = sent.get(f"aws:requesttag/{gate.tag.lower()}")
    value = f"={set_to}" if wipe.action == "ec2:CreateTags" else ""
    return f"{wipe.action} {gate.tag}{value} on {wipe.resource}"


def _granter(subject: Subject, request: Request) -> str:
    """Name the statement that allows *request*, and where it stands."""
    item = granting(subject, request)
    if item is None:
        return "the policy"
    place = item.place()
    return f"`{item.label}`" + (f" ({place})" if place else "")


def step(subject: Subject, request: Request, says_: str) -> Step:
    """Return *request* as a step of a witness, decided."""
    return Step(request, subject.authorizer.decide(request).outcome, says_)
