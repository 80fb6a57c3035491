"""Tags as gates: who may set a tag may do whatever the tag opens.

https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/control-access-with-tags.html
https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/supported-iam-actions-tagging.html
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from cml_iam import reference
from cml_iam.lint._conditions import parse_operator
from cml_iam.lint._corrections import guarded_tag
from cml_iam.lint._finding import Found, Step
from cml_iam.lint._proved import WHO, TagProof, tag_actions
from cml_iam.lint._replayed import Replayed
from cml_iam.lint._sample import concerning, filled, granting, requests, resource_tag, says
from cml_iam.reference import same_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from cml_iam.engine import Request
    from cml_iam.lint._edits import Correction
    from cml_iam.lint._subject import Item, Subject
    from cml_iam.policy import Condition
    from cml_iam.reference import Action, Target

TAGGING: Final = frozenset({"ec2:CreateTags", "ec2:DeleteTags"})
PREFIX: Final = "aws:resourcetag/"

SERVICE_SET: Final = frozenset({"ec2:createaction"})
"""Keys EC2 fills itself, so that the caller cannot choose them."""

LIFECYCLE: Final = ("TerminateInstances", "StopInstances", "StartInstances")

OTHER_VALUE: Final = "something-else"


@dataclass(frozen=True, slots=True)
class Gate:
    """A condition on a tag of the resource, and a request that it alone stands in the way of.

    *opened* is allowed, *shut* is the same on a resource without the tag, and refused.
    """

    item: Item
    condition: Condition
    tag: str
    value: str
    action: Action
    target: Target
    opened: Request
    shut: Request


def gate_open(subject: Subject) -> Iterator[Found]:
    """Yield tag conditions that the caller can meet by setting the tag."""
    for item, condition in _conditions(subject):
        found = _first_way(subject, item, condition, twin=False)
        if found:
            gate, request = found
            yield _opened(subject, gate, request, gate.tag)
        elif not _first_way(subject, item, condition, twin=True):
            yield from _opened_somehow(subject, item, condition)


def gate_open_by_case(subject: Subject) -> Iterator[Found]:
    """Yield tag conditions whose tag is guarded, but not in another spelling of its case."""
    for item, condition in _conditions(subject):
        if _first_way(subject, item, condition, twin=False):
            continue
        found = _first_way(subject, item, condition, twin=True)
        if found:
            gate, request = found
            yield _opened(subject, gate, request, twin_of(gate.tag))


def tag_wiped(subject: Subject) -> Iterator[Found]:
    """Yield tag conditions whose tag the caller can remove: what it managed is lost to it."""
    for item, condition in _conditions(subject):
        proof = _proof(subject, item, condition)
        if not proof.targets or proof.never_taken():
            continue
        ways = (
            (gate, request)
            for gate in _gates(subject, item, condition)
            for request in _wipes(subject, gate)
        )
        found = next(ways, None) or _wiped_somehow(subject, item, condition, proof)
        if found:
            yield _wiped(subject, *found)


def twin_of(tag: str) -> str:
    """Return *tag* in another case; condition keys do not tell the two apart, EC2 does."""
    return tag.lower() if tag != tag.lower() else tag.upper()


def _conditions(subject: Subject) -> Iterator[tuple[Item, Condition]]:
    """Yield the conditions that make a tag of the resource a gate.

    Nobody can set or remove a tag whose key begins with `aws:`.
    """
    if not subject.attached:
        return
    for item in subject.items:
        for condition in item.statement.conditions:
            op = parse_operator(condition.operator)
            if op is None or not same_key(condition.key).startswith(PREFIX):
                continue
            gates = op.positive_text if item.allows else op.negated and op.base in NEGATED
            reserved = same_key(condition.key).startswith(f"{PREFIX}aws:")
            if gates and not op.qualifier and not reserved and values_of(condition):
                yield item, condition


NEGATED: Final = frozenset({"stringnotequals", "stringnotlike", "stringnotequalsignorecase"})


def values_of(condition: Condition) -> list[str]:
    """Return texts that the values of *condition* stand for, without those that have variables."""
    op = parse_operator(condition.operator)
    like = op is not None and "like" in op.base
    plain = (value for value in condition.values if "${" not in value)
    return [filled(condition.key, value) if like else value for value in plain]


def _first_way(
    subject: Subject, item: Item, condition: Condition, *, twin: bool
) -> tuple[Gate, Request] | None:
    key = ("first way", id(item), condition, twin)
    if key not in subject.found and not _can_be_given(subject, item, condition):
        subject.found[key] = None
    if key not in subject.found:
        ways = (
            (gate, request)
            for gate in _gates(subject, item, condition)
            for request in _taggings(subject, gate, twin_of(gate.tag) if twin else gate.tag)
        )
        subject.found[key] = next(ways, None)
    found: tuple[Gate, Request] | None = subject.found[key]
    return found


def _proof(subject: Subject, item: Item, condition: Condition) -> TagProof:
    """Return the questions to be proved about *condition*."""
    actions = tuple(_gated_actions(item))
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
    action = next(each for each in proof.actions if each.full == opened.action)
    kind = opened.resource.split(":", 5)[-1].partition("/")[0]
    target = next(each for each in proof.targets if each.type == kind)
    return Gate(item, condition, tag, values_of(condition)[0], action, target, opened, shut)


def _gates(subject: Subject, item: Item, condition: Condition) -> Iterable[Gate]:
    """Return where *condition* stands in the way; looked for once."""
    key = ("gates", id(item), condition)
    if key not in subject.found:
        subject.found[key] = Replayed(_all_gates(subject, item, condition))
    found: Iterable[Gate] = subject.found[key]
    return found


def _all_gates(subject: Subject, item: Item, condition: Condition) -> Iterator[Gate]:
    """Yield where *condition* stands in the way and nothing else does.

    For each action and kind of resource one for each region and account the documents tell apart.
    """
    tag, value = condition.key.partition("/")[2], values_of(condition)[0]
    for action in _gated_actions(item):
        for target in item.targets(action):
            if target.type and target.keys.has(condition.key):
                yield from _gates_of(subject, item, condition, tag, value, action, target)


def _gates_of(
    subject: Subject,
    item: Item,
    condition: Condition,
    tag: str,
    value: str,
    action: Action,
    target: Target,
) -> Iterator[Gate]:
    fixed = resource_tag(tag, value)
    seen: set[tuple[str, frozenset[tuple[str, str]]]] = set()
    for opened in requests(
        subject, action, target, concerning(subject, action, *tag_actions()), fixed=fixed
    ):
        where = (opened.resource, _tags_of(opened))
        if where in seen or not subject.authorizer.decide(opened).allowed:
            continue
        shut = opened._replace(
            context={key: v for key, v in opened.context.items() if key not in fixed}
        )
        if not subject.authorizer.decide(shut).allowed:
            seen.add(where)
            yield Gate(item, condition, tag, value, action, target, opened, shut)


def _tags_of(request: Request) -> frozenset[tuple[str, str]]:
    return frozenset(
        (key, str(value))
        for key, value in request.context.items()
        if same_key(key).startswith((PREFIX, "aws:requestedregion"))
    )


def _gated_actions(item: Item) -> list[Action]:
    """Return the actions behind the gate: of EC2, and not those that set tags themselves.

    Of a statement about everything, those on instances stand for all.
    """
    ec2 = reference.service("ec2")
    if ec2 is None:
        return []
    if item.statement.action is None or item.everything:
        known = (ec2.action(name) for name in LIFECYCLE)
        return [each for each in known if each and says(item, each)]
    found = [
        each
        for each in item.actions.values()
        if each.service == "ec2" and each.full not in TAGGING and each.writes
    ]
    return sorted(found, key=lambda each: each.name != LIFECYCLE[0])


def _taggings(subject: Subject, gate: Gate, tag: str) -> Iterator[Request]:
    """Yield allowed CreateTags requests that give the shut resource the tag."""
    for tags in _with_extras(subject, {tag: gate.value}):
        fixed = tag_request(tags)
        yield from _allowed(subject, gate, gate.shut, "CreateTags", fixed)


def _wipes(subject: Subject, gate: Gate) -> Iterator[Request]:
    """Yield allowed requests that take the tag from a resource that has it."""
    yield from _allowed(subject, gate, gate.opened, "DeleteTags", {})
    yield from _allowed(subject, gate, gate.opened, "DeleteTags", {"aws:TagKeys": [gate.tag]})
    for tags in _with_extras(subject, {gate.tag: OTHER_VALUE}):
        yield from _allowed(subject, gate, gate.opened, "CreateTags", tag_request(tags))


def _allowed(
    subject: Subject, gate: Gate, like: Request, name: str, request_keys: dict[str, Any]
) -> Iterable[Request]:
    """Return allowed requests to change tags of the resource of *like*, by the same caller.

    What the action behind the gate is makes no difference, so they are looked for once.
    """
    kept = {key: value for key, value in like.context.items() if _stays(key)}
    key = (name, gate.target.type, like.resource, str((sorted(kept.items()), request_keys)))
    if key not in subject.found:
        subject.found[key] = Replayed(_all_allowed(subject, gate, like, name, kept, request_keys))
    found: Iterable[Request] = subject.found[key]
    return found


def _all_allowed(
    subject: Subject,
    gate: Gate,
    like: Request,
    name: str,
    kept: dict[str, Any],
    request_keys: dict[str, Any],
) -> Iterator[Request]:
    ec2 = reference.service("ec2")
    action = ec2.action(name) if ec2 else None
    target = (
        next((t for t in action.targets if t.type == gate.target.type), None) if action else None
    )
    if action is None or target is None:
        return
    # What the request sends is fixed: keys it does not send are absent.
    left_out = SERVICE_SET | {"aws:tagkeys"} | _tag_keys(subject)
    for made in requests(
        subject, action, target, concerning(subject, action), fixed=kept, without=left_out
    ):
        request = made._replace(resource=like.resource, context={**made.context, **request_keys})
        if subject.authorizer.decide(request).allowed:
            yield request


def _stays(key: str) -> bool:
    """Say whether *key* is the same in every request of this caller about this resource."""
    name = same_key(key)
    return name.startswith((*WHO, PREFIX)) or name == "aws:requestedregion"


def _tag_keys(subject: Subject) -> frozenset[str]:
    """Return the keys for tags of requests and resources that the documents ask for."""
    keys = (same_key(each.key) for item in subject.items for each in item.statement.conditions)
    return frozenset(key for key in keys if key.startswith(("aws:requesttag/", PREFIX)))


def _with_extras(subject: Subject, tags: dict[str, str]) -> Iterable[dict[str, str]]:
    """Return *tags* alone, and with the other tags that conditions of CreateTags ask for."""
    extras = {
        condition.key.partition("/")[2]: values_of(condition)[0]
        for item in concerning(subject, *tag_actions()[:1])
        if item.allows
        for condition in item.statement.conditions
        if condition.key.lower().startswith("aws:requesttag/") and values_of(condition)
    }
    wanted = {key.lower() for key in tags}
    more = {key: value for key, value in extras.items() if key.lower() not in wanted}
    return [tags, {**tags, **more}] if more else [tags]


def tag_request(tags: dict[str, str]) -> dict[str, Any]:
    """Return the condition keys of a request that sends *tags*."""
    return {
        "aws:TagKeys": list(tags),
        **{f"aws:RequestTag/{key}": value for key, value in tags.items()},
    }


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
    ec2 = reference.service("ec2")
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
