"""Statements, actions and conditions that can never match, or always hold.

The proof decides; the service reference supplies the places and the wording.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cml_iam import facts
from cml_iam.facts import (
    EXACT_SERVICES,
    GLOBAL_KEYS,
    REQUEST_TAG,
    RESOURCE_TAG,
    TAG_KEYS,
    is_provider_key,
    is_region,
    is_unknown_key,
    names_of,
    never_with,
    overlap,
    same_key,
    updated,
)
from cml_iam.lint._ask import is_matched, matched
from cml_iam.lint._corrections import any_resource, other_key
from cml_iam.lint._finding import Found, listed
from cml_iam.lint._subject import how_often

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Sequence

    from cml_iam.facts import Action, ArnPattern, Target
    from cml_iam.lint._edits import Claim, Correction
    from cml_iam.lint._subject import Item, Named, Subject
    from cml_iam.policy import Condition
    from cml_iam.space import KeyCondition


_OF_ACCESS_POINTS: Final = ("s3:dataaccesspoint", "s3:accesspointnetworkorigin")
"""Keys that a bucket's policy sees in requests through an access point.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-points-policies.html
"""


def foreign_keys(subject: Subject) -> Iterator[Found]:
    """Yield condition keys that an action of the statement never has."""
    for item, asked in subject.asked():
        key = asked.condition.key
        if key.lower() in GLOBAL_KEYS or not asked.operator.known:
            continue
        if is_unknown_key(key) or is_provider_key(key):
            continue
        if subject.kind == "resource" and key.lower().startswith(_OF_ACCESS_POINTS):
            continue
        lacking, all_lack = _lacking(item, key)
        if lacking and not asked.test({}):
            yield _never(item, asked.condition, lacking, all_lack=all_lack)
        elif lacking and _surprises(item, asked, lacking, all_lack=all_lack):
            yield _always(item, asked.condition, lacking, all_lack=all_lack)


def tags_of_some(subject: Subject) -> Iterator[Found]:
    """Yield tag conditions in statements about all services: some services send no tags."""
    for item in subject.items:
        if not item.unlisted:
            continue
        for asked in item.asked:
            key = same_key(asked.condition.key)
            if not key.startswith((RESOURCE_TAG, REQUEST_TAG)) and key != TAG_KEYS:
                continue
            lacking = facts.services_without(key)
            if asked.operator.known and lacking:
                yield item.found(
                    f"according to AWS's reference of {updated()}, {len(lacking)} services have "
                    "no key "
                    f"`{asked.condition.key}` ({listed(list(lacking), most=3)}): for them the "
                    f"condition {how_often(asked)} holds",
                    item.condition_place(asked.condition),
                    "put actions of these services into a separate statement",
                )


def _lacking(item: Item, key: str) -> tuple[list[Action], bool]:
    """Return the actions whose requests lack *key*, and whether these are all actions of *item*.

    An element with wildcards counts as one action: it lacks the key if all its actions do. Actions
    that the reference does not list may have any key.
    """
    lacking: list[Action] = []
    having = item.statement.action is None
    for element in item.named:
        groups = (
            [[action] for action in element.actions] if element.exact else [list(element.actions)]
        )
        for group in groups:
            reached = [(each, item.targets(each)) for each in group]
            live = [(each, targets) for each, targets in reached if targets]
            if any(_may_have(key, each, target) for each, targets in live for target in targets):
                having = True
            else:
                lacking += [each for each, _ in live]
        having = having or not element.actions
    return lacking, not having


def _may_have(key: str, action: Action, target: Target) -> bool:
    """Return whether the reference lists the key for *action* on *target*."""
    return target.keys.has(key) and not _certainly_lacks(key, action, target)


def _certainly_lacks(key: str, action: Action, target: Target) -> bool:
    """Return whether requests for *action* on *target* certainly never have the key."""
    own = {name.lower() for name in names_of(key, action.full)}
    return key.lower() not in own or never_with(key, action.full, target.keys) is not None


def _surprises(item: Item, asked: KeyCondition, lacking: list[Action], *, all_lack: bool) -> bool:
    """Return whether a condition that always holds for *lacking* cannot be intended.

    IfExists and ForAllValues are meant for keys that may be absent. A Deny that also refuses
    requests without a key of the same service is a common and safe form.
    """
    if asked.family == "null":
        return False
    if all_lack:
        return True
    if asked.operator.if_exists or asked.operator.qualifier:
        return False
    prefix = asked.condition.key.partition(":")[0].lower()
    return item.allows or (prefix != "aws" and any(action.service != prefix for action in lacking))


def _without(item: Item, key: str, lacking: Sequence[Action]) -> str:
    """State that requests lack *key*, as a fact or as far as the reference lists their keys."""
    names = listed([action.full for action in lacking])
    certain = all(
        _certainly_lacks(key, action, target)
        for action in lacking
        for target in item.targets(action)
    )
    if certain:
        return f"no request for {names} has the condition key `{key}`"
    return f"AWS's reference of {updated()} lists no condition key `{key}` for {names}"


def _never(item: Item, condition: Condition, lacking: list[Action], *, all_lack: bool) -> Found:
    without = _without(item, condition.key, lacking)
    them = "them" if len(lacking) > 1 else "it"
    consequence = (
        f"the statement can never match and {item.grants} nothing"
        if all_lack
        else f"the statement {item.grants} nothing for {them}"
    )
    if without.startswith("AWS's reference"):
        consequence = f"if that is all, {consequence}"
    return item.found(
        f"{without}: {consequence}",
        item.condition_place(condition),
        _other_key(condition.key, all_lack=all_lack),
        correction=_every_region(item, condition, claim="grant"),
    )


def _always(item: Item, condition: Condition, lacking: list[Action], *, all_lack: bool) -> Found:
    them = "them" if len(lacking) > 1 else "it"
    so = f"{_without(item, condition.key, lacking)}, so {condition.operator} always holds"
    if all_lack and not item.allows:
        so += f" for {them}: the condition makes no difference"
    elif item.allows:
        so += f" for {them}: the condition restricts nothing"
    else:
        so += " and the action is always refused"
    return item.found(
        so,
        item.condition_place(condition),
        _other_key(condition.key, all_lack=all_lack),
        correction=_every_region(item, condition, claim="narrower"),
    )


def _every_region(item: Item, condition: Condition, *, claim: Claim) -> Correction | None:
    if not is_region(condition.key):
        return None
    return other_key(item, condition, "aws:RequestedRegion", claim=claim)


def _other_key(key: str, *, all_lack: bool) -> str:
    if is_region(key):
        return "use `aws:RequestedRegion`, which every request has"
    if all_lack:
        return "check the key: use one that these actions have"
    return "put these actions into a separate statement"


def foreign_resources(subject: Subject) -> Iterator[Found]:
    """Yield actions on resource types they do not have, and resources that no action uses."""
    for item in subject.items:
        elements = _dead_elements(item)
        dead = [element for element in elements if not _take_no_resource(element)]
        accountless = [each for each in dead if _of_no_account(item, each)]
        if accountless:
            yield _accountless(item, accountless)
        dead = [each for each in dead if each not in accountless]
        if dead:
            yield _dead_found(item, dead)
        if len(elements) < len(item.named):
            yield from _unused(item, elements)


def needs_any(subject: Subject) -> Iterator[Found]:
    """Yield actions that take no resource, in a statement with specific resources."""
    for item in subject.items:
        dead = [element for element in _dead_elements(item) if _take_no_resource(element)]
        if dead:
            names = [each.text for each in dead]
            them = "them" if len(names) > 1 else "it"
            yield item.found(
                f"AWS's reference of {updated()} lists no resource for {listed(names)}, so "
                f'only `"Resource": "*"` names {them}: if that is all, the statement {item.grants} '
                f"nothing for {them}",
                item.place("Action", dead[0].index),
                'put these actions into a separate statement with `"Resource": "*"`',
                correction=any_resource(item),
            )


def _dead_elements(item: Item) -> list[Named]:
    """Return the elements of Action that match no request on the statement's resources.

    An element with wildcards is dead only if all its actions are.
    """
    written = item.statement.resource
    if written is None or len(item.resources) < len(written):
        return []  # one of the resources is malformed, which another rule says
    if any(map(_in_capitals, item.resources)):
        return []
    unreached = (
        each
        for each in item.named
        if each.actions and not any(item.targets(action) for action in each.actions)
    )
    return [e for e in unreached if matched(item, action=e.text, conditions=()).holds]


def _in_capitals(resource: tuple[str, ArnPattern]) -> bool:
    """Return whether the ARN's service has capital letters, which another rule reports."""
    return resource[1][2] != resource[1][2].lower()


def _take_no_resource(element: Named) -> bool:
    return all(action.takes_no_resource for action in element.actions)


def _dead_found(item: Item, dead: list[Named]) -> Found:
    names = [each.text for each in dead]
    targets = {t.type for each in dead for action in each.actions for t in action.targets}
    return item.found(
        f"according to AWS's reference of {updated()}, {listed(names)} "
        f"{'do' if len(names) > 1 else 'does'} not apply to any of these resources: the statement "
        f"{item.grants} nothing for {'them' if len(names) > 1 else 'it'}",
        item.place("Action", dead[0].index),
        f"{'they apply' if len(names) > 1 else 'it applies'} to {listed(sorted(targets - {''}))}",
    )


def _of_no_account(item: Item, element: Named) -> bool:
    """Return whether an action of *element* uses a resource of *item*, but without an account."""
    resources = [(*pattern[:4], "", *pattern[5:]) for _, pattern in item.resources]
    arns = [arn for a in element.actions for target in a.targets for arn in target.arns]
    return any(overlap(pattern, arn) for pattern in resources for arn in arns)


def _accountless(item: Item, elements: list[Named]) -> Found:
    return item.found(
        f"AWS's reference of {updated()} lists the resource of "
        f"{listed([element.text for element in elements])} without an account, and these "
        "resources have one: AWS may not match them",
        item.place("Action", elements[0].index),
        "try the call to see which form AWS uses, or also allow the ARN without the account",
    )


def _unused(item: Item, dead: list[Named]) -> Iterator[Found]:
    """Yield the resources that no action of the statement uses."""
    if not all(each.actions for each in item.named):
        return  # `*`, or an unknown action, which another rule names
    actions = [action for each in item.named if each not in dead for action in each.actions]
    for index, text in enumerate(item.statement.resource or ()):
        pattern = dict(item.resources).get(text)
        if pattern is None or text == "*" or _in_capitals((text, pattern)):
            continue
        if not any(_is_about(action.targets, pattern) for action in actions):
            yield item.found(
                f"according to AWS's reference of {updated()}, no action of the statement "
                f"applies to `{text}`",
                item.place("Resource", index),
                "remove it, or add the intended action",
            )


def _is_about(targets: tuple[Target, ...], pattern: tuple[str, ...]) -> bool:
    return any(
        target.type and (not target.arns or any(overlap(pattern, arn) for arn in target.arns))
        for target in targets
    )


def contradictions(subject: Subject) -> Iterator[Found]:
    """Yield conditions of one statement that no request can meet together."""
    for item in subject.items:
        if _may_contradict(item) and not is_matched(item):
            core = _core(item)
            if len(core) > 1:
                yield _contradiction(item, core)
            elif core and is_region(core[0].key) and _in_regions(item):
                yield _other_region(item, core[0])


def _may_contradict(item: Item) -> bool:
    """Return whether any conditions could contradict each other or the region of the resources."""
    if not all(condition.operator.known and condition.condition.values for condition in item.asked):
        return False  # said by the rules about operators and values
    regions = any(is_region(condition.condition.key) for condition in item.asked) and _in_regions(
        item
    )
    return len(item.asked) > 1 or regions


def _in_regions(item: Item) -> bool:
    """Return whether each resource of *item* names its region."""
    return bool(item.resources) and not any(p[3] in {"", "*"} for _, p in item.resources)


def _core(item: Item) -> tuple[Condition, ...]:
    """Return the fewest conditions that no request can meet; none if the cause is elsewhere."""
    core = item.statement.conditions
    for condition in item.statement.conditions:
        fewer = tuple(other for other in core if other is not condition)
        if matched(item, conditions=fewer).holds:
            core = fewer
    return core


def _contradiction(item: Item, core: Sequence[Condition]) -> Found:
    *others, last = (f"{condition.operator} `{condition.key}`" for condition in core)
    both = "both " if len(others) == 1 else ""
    return item.found(
        f"no request can meet {both}{', '.join(others)} and {last}: {_why(core)}, so the "
        f"statement {item.grants} nothing",
        item.condition_place(core[-1]),
        "put alternatives into one list of values, or into separate statements",
    )


def _why(core: Sequence[Condition]) -> str:
    names = {same_key(condition.key) for condition in core}
    if len(names) > 1:
        tags = "`aws:TagKeys` lists the key of every tag that is sent"
        return tags if TAG_KEYS in names else "together they permit no value"
    if any(condition.operator.lower().endswith("null") for condition in core):
        return "one requires that the key is absent, the other that it is present"
    return "their values have nothing in common"


def _other_region(item: Item, condition: Condition) -> Found:
    regions = sorted({pattern[3] for _, pattern in item.resources})
    return item.found(
        f"the resources are in {listed(regions)}, but the condition requires "
        f"{listed(list(condition.values))}: the statement {item.grants} nothing",
        item.condition_place(condition),
        "name the same regions in both",
    )


def matches_nothing(subject: Subject, said: Container[tuple[str, str | None]]) -> Iterator[Found]:
    """Yield statements that no request matches, except those in *said*, which have findings.

    *said* names statements by file and label.
    """
    for item in subject.items:
        place = item.place()
        known = (place.file if place else "", item.label) in said
        if not known and _certainly_matches_nothing(item):
            yield item.found(
                f"no request that AWS sends matches this statement: it {item.grants} nothing",
                place,
                "run `cml-iam policy explain` with an intended request to see which part does not "
                "match",
            )


def _certainly_matches_nothing(item: Item) -> bool:
    """Return whether the proof needs more than the reference's lists for other services.

    These lists lack some resources and values. GetCallerIdentity is excluded, as it needs no Allow.
    """
    services = {action.service for action in item.actions.values()}
    exact = bool(services) and services <= EXACT_SERVICES
    keys = (condition.condition.key.lower() for condition in item.asked)
    alone = bool(item.asked) and all(key in GLOBAL_KEYS for key in keys)
    if not (exact or alone) or _matches_plainly(item):
        return False
    return not is_matched(item) and (exact or not matched(item, conditions=()).holds)


def _matches_plainly(item: Item) -> bool:
    """Return whether the statement matches every request for an action that policies decide."""
    anything = "*" in (item.statement.resource or ())
    decided = item.actions.keys() - {"sts:GetCallerIdentity"}
    return anything and not item.statement.conditions and bool(decided)
