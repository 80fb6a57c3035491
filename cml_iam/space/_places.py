"""The slices of a question: classes of actions, and the resources and keys of each.

Statements distinguish few classes of actions. For each class, a loose slice is searched first: one
action, on any resource. What holds there holds for every action of the class, without any knowledge
of AWS. If it does not hold, the actions are examined one by one, each with the resource types and
condition keys in AWS's service reference.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Final, NamedTuple

from cml_iam.engine.parts import ActionPattern
from cml_iam.facts import FIELDS, TWINS, Action, Keys, Service, Target, service, singular_actions
from cml_iam.space._globs import ACCOUNT_ID, REGION_NAME, Glob, Wild, glob, representatives
from cml_iam.space._statements import Part

POPULAR: Final = (
    "s3:GetObject",
    "s3:ListBucket",
    "ec2:TerminateInstances",
    "ec2:DescribeInstances",
    "iam:PassRole",
    "iam:ListUsers",
    "dynamodb:GetItem",
    "sts:AssumeRole",
    "lambda:InvokeFunction",
    "sqs:SendMessage",
    "kms:Decrypt",
)
"""Actions that represent all services that no policy names."""

_TELLING: Final = (
    *POPULAR,
    "ec2:ModifyInstanceAttribute",
    "ec2:CreateSnapshot",
    "iam:CreateAccessKey",
    "s3:PutObject",
)
"""Well-known actions, which are better examples of their class."""

REGION_FIELD: Final = 3
ACCOUNT_FIELD: Final = 4
FRESH: Final = "SomethingElse"
MANY_INSIDE: Final = Glob((Wild.MANY_INSIDE,))
MANY: Final = Glob((Wild.MANY,))
FILLED_INSIDE: Final = Glob((Wild.ONE_INSIDE, Wild.MANY_INSIDE))


class Place(NamedTuple):
    """Requests for one action; *fields* are the patterns of the resource ARN's fields.

    *fields* is None for the resource `*`. *kinds*, if any, are patterns for resources of several
    types: the last field matches one of them. *keys* are the condition keys in the service
    reference; None for a *loose* place, where anything is possible.
    """

    action: str
    fields: tuple[Glob, ...] | None
    type: str = ""
    keys: Keys | None = None
    kinds: tuple[Glob, ...] = ()

    @property
    def loose(self) -> bool:
        """Whether the resource and the keys may be anything."""
        return self.keys is None

    @property
    def prefix(self) -> str:
        """The prefix of the action's service."""
        return self.action.partition(":")[0].lower()


class Class(NamedTuple):
    """Actions to which the same statements apply: *bits* are the numbers of these statements.

    *listed* are the actions in the service reference; *unlisted* is one that is not there, or that
    a statement names. With *others*, the class includes the actions of all services that no
    statement names. With *open*, a wildcard matches the actions, so the class would include future
    ones. With *partial*, there are more classes like this than could be distinguished.
    """

    bits: int
    listed: tuple[str, ...]
    unlisted: str | None
    named: bool = False
    others: bool = False
    open: bool = False
    partial: bool = False

    @property
    def example(self) -> str:
        """One of the actions."""
        return self.listed[0] if self.listed else self.unlisted or f"example:{FRESH}"

    def actions(self) -> Iterator[Action]:
        """Yield the listed actions as the service reference describes them; this is slow."""
        for listed in self.listed:
            prefix, _, name = listed.partition(":")
            owner = service(prefix)
            action = owner.action(name) if owner else None
            if action is not None:
                yield action


def loose_places(action: str) -> tuple[Place, ...]:
    """Return two places: any resource, and no resource."""
    return (
        Place(action, (MANY_INSIDE, MANY_INSIDE, MANY_INSIDE, MANY_INSIDE, MANY)),
        Place(action, None),
    )


@lru_cache(1 << 10)
def typed_places(action: Action) -> tuple[Place, ...]:
    """Return the resources for which AWS authorizes *action*, from its service reference."""
    # Required types and instances make better examples.
    targets = sorted(
        action.targets, key=lambda target: (not target.required, target.type != "instance")
    )
    return tuple(place for target in targets for place in _of_target(action.full, target))


def _of_target(action: str, target: Target) -> Iterator[Place]:
    patterns = [
        tuple(_field(text, index) for index, text in enumerate(arn) if index) for arn in target.arns
    ]
    any_type = [place.fields for place in loose_places(action)]
    for fields in (patterns or any_type) if target.type else (None,):
        yield Place(action, fields, target.type, target.keys)


def together(
    action: Action, is_wanted: Callable[[Place], bool]
) -> Iterator[tuple[Place | None, tuple[Place, ...]]]:
    """Yield the resources for which AWS authorizes *action*; types with similar ARNs share a place.

    Yields pairs of a shared place and the places of its types; types are similar if their ARNs
    differ only in the last field. Leaves out places for which *is_wanted* is false. A
    request at the shared place is about a resource of any of the types and may have any of their
    keys, so what holds there holds at each of the places. The shared place is None if there is only
    one type.
    """
    groups: dict[tuple[Glob, ...], list[Place]] = defaultdict(list)
    for place in filter(is_wanted, typed_places(action)):
        groups[place.fields[:-1] if place.fields and place.type else ()].append(place)
    for shared, places in groups.items():
        keys = [place.keys for place in places if place.keys is not None]
        if len(places) == 1 or not shared or len(keys) < len(places):
            yield None, tuple(places)
            continue
        kinds = tuple(dict.fromkeys(place.fields[-1] for place in places if place.fields))
        every = Keys(frozenset().union(*(key.patterns for key in keys)))
        yield Place(action.full, (*shared, MANY), "", every, kinds), tuple(places)


@lru_cache(1 << 10)
def _field(text: str, index: int) -> Glob:
    """Return the pattern of one field of a format; placeholders are not empty.

    An account is twelve digits, a region has the form of a region's name.
    """
    if text == "*" and index in {REGION_FIELD, ACCOUNT_FIELD}:
        return REGION_NAME if index == REGION_FIELD else ACCOUNT_ID
    some = (Wild.ONE, Wild.MANY) if index == FIELDS - 1 else (Wild.ONE_INSIDE, Wild.MANY_INSIDE)
    return Glob(tuple(s for c in text for s in (some if c == "*" else (c,))))


def classes(parts: Sequence[Part], is_wanted: Callable[[int], bool]) -> list[Class]:
    """Return the classes of actions that *parts* distinguish and whose bits *is_wanted* accepts."""
    whole_classes = _Naming(parts, is_wanted).classes()
    return [group for whole in whole_classes for group in _without_singular(whole)]


def _without_singular(whole: Class) -> Iterator[Class]:
    """Split *whole* so that each action in `singular_actions` has a class of its own."""
    singular = {action.lower() for action in singular_actions()}
    alone = [action for action in whole.listed if action.lower() in singular]
    left = tuple(action for action in whole.listed if action not in alone)
    others = bool(left or whole.named or whole.others or not alone)
    for action in alone:
        yield Class(whole.bits, (action,), None, open=whole.open and not others)
    if others:
        yield whole._replace(listed=left)


class _Naming:
    """The statements that name an action, as bits."""

    def __init__(self, parts: Sequence[Part], is_wanted: Callable[[int], bool]) -> None:
        self._is_wanted = is_wanted
        self._negated = self._everything = 0
        named = any(part.asks_other_names for part in parts)
        # Services that send keys under their own names.
        twins = (prefix for pair in TWINS for prefix in pair.services)
        self._apart = tuple(dict.fromkeys(twins)) if named else ()
        self._patterns: dict[str, list[tuple[int, ActionPattern]]] = defaultdict(list)
        for number, part in enumerate(parts):
            bit = 1 << number
            self._negated |= bit if part.compiled.not_action else 0
            for pattern in part.compiled.actions:
                if pattern.problem is not None:
                    continue
                if pattern.service is None:
                    self._everything |= bit
                else:
                    self._patterns[pattern.service].append((bit, pattern))

    def _bits(self, hits: int) -> int:
        return (hits | self._everything) ^ self._negated

    def classes(self) -> Iterator[Class]:
        """Yield the classes of the named services, then those of all others."""
        for prefix, patterns in self._patterns.items():
            yield from self._of_service(prefix, patterns)
        bits = self._bits(0)
        if not self._is_wanted(bits):
            return
        examples: dict[str, list[str]] = defaultdict(list)
        for action in dict.fromkeys((*POPULAR, *singular_actions())):
            prefix = action.partition(":")[0]
            if prefix not in self._patterns:
                examples[prefix if prefix in self._apart else ""].append(action)
        for prefix in ("", *self._apart):
            if prefix not in self._patterns:
                example = f"{prefix or 'example'}:{FRESH}"
                yield Class(bits, tuple(examples[prefix]), example, others=True)

    def _of_service(
        self, prefix: str, patterns: list[tuple[int, ActionPattern]]
    ) -> Iterator[Class]:
        owner = service(prefix)
        exact = {p.name: p.text.partition(":")[2] for _, p in reversed(patterns) if p.exact}
        hits = _hits(owner, patterns, exact)
        groups: dict[int, list[str]] = defaultdict(list)
        for name in sorted(hits, key=lambda name: name not in exact):
            groups[self._bits(hits[name])].append(name)
        untouched = self._bits(0)
        if owner and untouched and self._is_wanted(untouched):
            names = map(str.lower, owner.action_names)
            groups[untouched] += [name for name in names if name not in hits]
        for bits, grouped in groups.items():
            if self._is_wanted(bits):
                yield _class(prefix, owner, bits, grouped, exact)
        yield from self._unlisted(prefix, patterns, set(groups))

    def _unlisted(
        self, prefix: str, patterns: list[tuple[int, ActionPattern]], taken: set[int]
    ) -> Iterator[Class]:
        """Yield classes to which no action of AWS belongs yet."""
        wild = [pattern.name for _, pattern in patterns if not pattern.exact]
        if not wild:
            return
        filled = (name.replace("*", "somethingelse").replace("?", "x") for name in wild)
        globs = [glob(pattern.name) for _, pattern in patterns]
        names, complete = representatives(globs, filled, FILLED_INSIDE)
        if not complete:
            yield Class(0, (), None, partial=True)
        for name in names:
            bits = self._bits(_matching(name, patterns))
            if bits not in taken and self._is_wanted(bits):
                taken.add(bits)
                yield Class(bits, (), f"{prefix}:{name}")


def _matching(name: str, patterns: Iterable[tuple[int, ActionPattern]]) -> int:
    bits = 0
    for bit, pattern in patterns:
        bits |= bit if pattern.test(name) else 0
    return bits


def _hits(
    owner: Service | None, patterns: list[tuple[int, ActionPattern]], exact: Iterable[str]
) -> dict[str, int]:
    """Return the actions that *patterns* match, in lower case, with the patterns' bits."""
    hits: dict[str, int] = defaultdict(int, {name: _matching(name, patterns) for name in exact})
    for bit, pattern in patterns:
        for name in owner.names_matching(pattern.name) if owner and not pattern.exact else ():
            hits[name.lower()] |= bit
    return hits


def _class(
    prefix: str, owner: Service | None, bits: int, names: list[str], exact: dict[str, str]
) -> Class:
    spelt = [owner.name_of(name) if owner else None for name in names]
    listed = [f"{prefix}:{name}" for name in spelt if name]
    listed.sort(key=lambda full: _TELLING.index(full) if full in _TELLING else len(_TELLING))
    new = (exact[name] for name, full in zip(names, spelt, strict=True) if not full)
    unlisted = next((f"{prefix}:{name}" for name in new), None)
    wild = any(name not in exact for name in names)
    return Class(bits, tuple(listed), unlisted, named=unlisted is not None, open=wild)
