"""Statements, actions and conditions that can never match, or always hold.

The proof decides; the service reference supplies the places and the wording.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from cml_iam import facts
from cml_iam.facts import Action, ArnPattern, Target
from cml_iam.lint._ask import is_matched, matched
from cml_iam.lint._corrections import any_resource, other_key
from cml_iam.lint._finding import Claim, Correction, Fault, listed
from cml_iam.lint._subject import Clause, Item, Named

_OF_ACCESS_POINTS: Final = ("s3:dataaccesspoint", "s3:accesspointnetworkorigin")
"""Keys that a bucket's policy sees in requests through an access point.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-points-policies.html
"""


def foreign_keys(clause: Clause) -> Iterator[Fault]:
    key, kind = clause.key, clause.item.subject.kind
    if clause.name in facts.global_keys() or not clause.operator.known:
        return
    if facts.is_unknown_key(key) or facts.is_provider_key(key):
        return
    if kind == "resource" and clause.name.startswith(_OF_ACCESS_POINTS):
        return
    lacking, all_lack = _lacking(clause.item, key)
    always = clause.test({})
    if not lacking or (always and not _surprises(clause, lacking, all_lack=all_lack)):
        return
    correction: Correction | None = None
    remedy = "put these actions into a separate statement"
    if facts.is_region(key):
        remedy = "use `aws:RequestedRegion`, which every request has"
        claim: Claim = "narrower" if always else "grant"
        correction = other_key(clause, "aws:RequestedRegion", claim=claim)
    elif all_lack:
        remedy = "check the key: use one that these actions have"
    message = _holds_wrongly(clause, lacking, all_lack=all_lack)
    yield clause.fault(message, remedy, correction=correction)


def _lacking(item: Item, key: str) -> tuple[list[Action], bool]:
    """Return the actions whose requests lack *key*, and whether these are all actions of *item*.

    An element with wildcards counts as one action: it lacks the key if all its actions do. Actions
    that the reference does not list may have any key.
    """
    lacking: list[Action] = []
    having = item.statement.action is None
    for element in item.named:
        having = having or not element.actions
        groups = [[action] for action in element.actions] if element.exact else [element.actions]
        for group in groups:
            live = [action for action in group if item.targets(action)]
            if any(
                target.keys.has(key) and not _certainly_lacks(key, action, target)
                for action in live
                for target in item.targets(action)
            ):
                having = True
            else:
                lacking += live
    return lacking, not having


def _certainly_lacks(key: str, action: Action, target: Target) -> bool:
    """Return whether requests for *action* on *target* certainly never have the key."""
    own = {name.lower() for name in facts.names_of(key, action.full)}
    return key.lower() not in own or facts.never_with(key, action.full, target.keys) is not None


def _surprises(clause: Clause, lacking: list[Action], *, all_lack: bool) -> bool:
    """Return whether a condition that always holds for *lacking* cannot be intended.

    IfExists and ForAllValues are meant for keys that may be absent. A Deny that also refuses
    requests without a key of the same service is a common and safe form.
    """
    if clause.family == "null" or all_lack:
        return clause.family != "null"
    if clause.operator.if_exists or clause.operator.qualifier:
        return False
    prefix = clause.name.partition(":")[0]
    other = prefix != "aws" and any(action.service != prefix for action in lacking)
    return clause.item.allows or other


def _holds_wrongly(clause: Clause, lacking: list[Action], *, all_lack: bool) -> str:
    """State that requests lack the key, as a fact or as far as the reference lists it."""
    names, grants, them = listed([a.full for a in lacking]), clause.item.grants, _them(lacking)
    is_certain = all(
        _certainly_lacks(clause.key, action, target)
        for action in lacking
        for target in clause.item.targets(action)
    )
    lack = f"AWS's reference of {facts.updated()} lists no condition key `{clause.key}` for {names}"
    if is_certain:
        lack = f"no request for {names} has the condition key `{clause.key}`"
    if not clause.test({}):
        effect = (
            f"can never match and {grants} nothing" if all_lack else f"{grants} nothing for {them}"
        )
        return f"{lack}: {'' if is_certain else 'if that is all, '}the statement {effect}"
    always = f"{lack}, so {clause.condition.operator} always holds"
    if clause.item.allows:
        return f"{always} for {them}: the condition restricts nothing"
    if all_lack:
        return f"{always} for {them}: the condition makes no difference"
    return f"{always} and the action is always refused"


def _them(names: Sequence[object]) -> str:
    return "them" if len(names) > 1 else "it"


def tags_of_some(clause: Clause) -> Iterator[Fault]:
    key = facts.same_key(clause.key)
    tag = key.startswith((facts.RESOURCE_TAG, facts.REQUEST_TAG)) or key == facts.TAG_KEYS
    lacking = facts.services_without(key) if tag and clause.item.unlisted else ()
    if clause.operator.known and lacking:
        yield clause.fault(
            f"according to AWS's reference of {facts.updated()}, {len(lacking)} services have no "
            f"key `{clause.key}` ({listed(lacking, most=3)}): for them the condition "
            f"{clause.how_often} holds",
            "put actions of these services into a separate statement",
        )


def foreign_resources(item: Item) -> Iterator[Fault]:
    elements = _dead_elements(item)
    typed = [element for element in elements if not _take_no_resource(element)]
    accountless = [element for element in typed if _of_no_account(item, element)]
    dead = [element for element in typed if element not in accountless]
    if accountless:
        yield item.fault(
            f"AWS's reference of {facts.updated()} lists the resource of "
            f"{listed([element.text for element in accountless])} without an account, and these "
            "resources have one: AWS may not match them",
            "try the call to see which form AWS uses, or also allow the ARN without the account",
            ("Action", accountless[0].index),
        )
    if dead:
        targets = {t.type for element in dead for a in element.actions for t in a.targets}
        several = len(dead) > 1
        yield item.fault(
            f"according to AWS's reference of {facts.updated()}, "
            f"{listed([element.text for element in dead])} {'do' if several else 'does'} not apply "
            f"to any of these resources: the statement {item.grants} nothing for {_them(dead)}",
            f"{'they apply' if several else 'it applies'} to {listed(sorted(targets - {''}))}",
            ("Action", dead[0].index),
        )
    if len(elements) < len(item.named):
        yield from _unused(item, elements)


def needs_any(item: Item) -> Iterator[Fault]:
    dead = [element for element in _dead_elements(item) if _take_no_resource(element)]
    if dead:
        yield item.fault(
            f"AWS's reference of {facts.updated()} lists no resource for "
            f'{listed([element.text for element in dead])}, so only `"Resource": "*"` names '
            f"{_them(dead)}: if that is all, the statement {item.grants} nothing for {_them(dead)}",
            'put these actions into a separate statement with `"Resource": "*"`',
            ("Action", dead[0].index),
            correction=any_resource(item),
        )


def _dead_elements(item: Item) -> list[Named]:
    """Return the elements of Action that match no request on the statement's resources.

    An element with wildcards is dead only if all its actions are.
    """
    written = item.statement.resource
    if written is None or len(item.resources) < len(written):
        return []  # one of the resources is malformed, which another rule says
    if any(_in_capitals(pattern) for _, pattern in item.resources):
        return []
    unreached = [
        element
        for element in item.named
        if element.actions and not any(map(item.targets, element.actions))
    ]
    return [
        element for element in unreached if matched(item, action=element.text, conditions=()).holds
    ]


def _in_capitals(pattern: ArnPattern) -> bool:
    """Return whether the ARN's service has capital letters, which another rule reports."""
    return pattern[2] != pattern[2].lower()


def _take_no_resource(element: Named) -> bool:
    return all(action.takes_no_resource for action in element.actions)


def _of_no_account(item: Item, element: Named) -> bool:
    """Return whether an action of *element* uses a resource of *item*, but without an account."""
    resources = [(*pattern[:4], "", *pattern[5:]) for _, pattern in item.resources]
    arns = [arn for a in element.actions for target in a.targets for arn in target.arns]
    return any(facts.overlap(pattern, arn) for pattern in resources for arn in arns)


def _unused(item: Item, dead: list[Named]) -> Iterator[Fault]:
    """Yield the resources that no action of the statement uses."""
    if not all(element.actions for element in item.named):
        return  # `*`, or an unknown action, which another rule names
    targets = [
        target
        for element in item.named
        if element not in dead
        for action in element.actions
        for target in action.targets
        if target.type
    ]
    for index, text in enumerate(item.statement.resource or ()):
        pattern = dict(item.resources).get(text)
        if pattern is None or text == "*" or _in_capitals(pattern):
            continue
        if not any(
            not target.arns or any(facts.overlap(pattern, arn) for arn in target.arns)
            for target in targets
        ):
            yield item.fault(
                f"according to AWS's reference of {facts.updated()}, no action of the statement "
                f"applies to `{text}`",
                "remove it, or add the intended action",
                ("Resource", index),
            )


def contradictions(item: Item) -> Iterator[Fault]:
    readable = all(clause.operator.known and clause.values for clause in item.clauses)
    named = [pattern[3] for _, pattern in item.resources]
    regional = bool(named) and not {"", "*"} & {*named}
    regions = regional and any(facts.is_region(clause.key) for clause in item.clauses)
    if not readable or (len(item.clauses) < 2 and not regions) or is_matched(item):
        return
    core = _core(item)
    if len(core) > 1:
        *others, last = (f"{clause.condition.operator} `{clause.key}`" for clause in core)
        both = "both " if len(others) == 1 else ""
        yield core[-1].fault(
            f"no request can meet {both}{', '.join(others)} and {last}: {_why(core)}, so the "
            f"statement {item.grants} nothing",
            "put alternatives into one list of values, or into separate statements",
        )
    elif core and regional and facts.is_region(core[0].key):
        yield core[0].fault(
            f"the resources are in {listed(sorted(set(named)))}, but the condition requires "
            f"{listed(core[0].values)}: the statement {item.grants} nothing",
            "name the same regions in both",
        )


def _core(item: Item) -> tuple[Clause, ...]:
    """Return the fewest conditions that no request can meet; none if the cause is elsewhere."""
    core = item.clauses
    for clause in item.clauses:
        fewer = tuple(other for other in core if other is not clause)
        if matched(item, conditions=[other.condition for other in fewer]).holds:
            core = fewer
    return core


def _why(core: Sequence[Clause]) -> str:
    names = {facts.same_key(clause.key) for clause in core}
    if len(names) > 1:
        tags = "`aws:TagKeys` lists the key of every tag that is sent"
        return tags if facts.TAG_KEYS in names else "together they permit no value"
    if any(clause.condition.operator.lower().endswith("null") for clause in core):
        return "one requires that the key is absent, the other that it is present"
    return "their values have nothing in common"


def matches_nothing(item: Item) -> Iterator[Fault]:
    """Yield a statement that no request matches; only asked if no other rule reports it.

    The lists of the reference for most services lack some resources and values, so a proof that
    needs them is not enough. GetCallerIdentity is excluded, as it needs no Allow.
    """
    services = {action.service for action in item.actions.values()}
    exact = bool(services) and services <= facts.EXACT_SERVICES
    alone = bool(item.clauses) and all(
        clause.name in facts.global_keys() for clause in item.clauses
    )
    decided = item.actions.keys() - {"sts:GetCallerIdentity"}
    plainly = item.everywhere and not item.statement.conditions and decided
    if plainly or not (exact or alone) or is_matched(item):
        return
    if exact or not matched(item, conditions=()).holds:
        yield item.fault(
            f"no request that AWS sends matches this statement: it {item.grants} nothing",
            "run `cml-iam policy explain` with an intended request to see which part does not "
            "match",
        )
