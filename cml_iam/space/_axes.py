"""The axes of a place: for each key of a request, the choices that the statements distinguish.

Keys are independent unless a policy variable or a fact about AWS ties them. Tied keys share one
axis, whose choices are the possible combinations.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, NamedTuple

from cml_iam.facts import EXAMPLE_ACCOUNT, EXAMPLE_IDS, OTHER_ACCOUNT, PARTITIONS, REGION
from cml_iam.space._assume import ARN_ID, CALLER_KEYS, Assumptions
from cml_iam.space._boxes import CHOSEN, MADE, TOO_MUCH, Budget
from cml_iam.space._callers import PRINCIPAL_ARN, callers_of
from cml_iam.space._examples import REGIONS
from cml_iam.space._gathered import ARN_REGION, Gathered, Memo
from cml_iam.space._globs import REGION_NAME, Glob, filled, glob, is_text_of, representatives
from cml_iam.space._places import ACCOUNT_FIELD, REGION_FIELD, Place
from cml_iam.space._statements import CALLER, FIELD_KEYS, Choice, Test
from cml_iam.space._values import Query, Values, values_of
from cml_iam.space._variables import variable_hints

PARTITION_FIELD: Final = 1

MAX_CHOICES: Final = 4_000
"""The maximum number of value combinations of keys that depend on each other."""


class Axis(NamedTuple):
    """The *choices* for some keys, each a mapping from key to value."""

    keys: frozenset[str]
    choices: tuple[Choice, ...]


class AxisMaker:
    """Creates the axes of a place under some assumptions; reports what is incomplete."""

    def __init__(self, gathered: Gathered, assumed: Assumptions, budget: Budget) -> None:
        self._gathered, self._assumed, self._budget = gathered, assumed, budget
        self.incomplete: list[str] = []
        self._drawn: dict[str, tuple[list[str], bool]] = {}
        self._varied: Memo = {}
        self._used = frozenset().union(*gathered.needs.values())
        self._varying = {key for key, needed in gathered.needs.items() if needed} | self._used
        self._regions: Glob | None = None
        """The pattern of the region in the resource's ARN, if it is that of the request."""
        if assumed.region_tied and gathered.place.fields:
            self._regions = gathered.place.fields[2]

    def axes(self, tests: Iterable[Test]) -> tuple[Axis, ...]:
        """Return the axes; each test depends on exactly one of them."""
        groups, assumed = self._groups(tests), self._assumed
        if self._regions and not self._region_is_plain():
            self.incomplete.append("policy variables with the region, or compared with it")
        if assumed.id_keys and self._varying & {*assumed.id_keys, ARN_ID}:
            self.incomplete.append("policy variables with the resource's id, or compared with it")
        if assumed.account_tied and self._varying & CALLER_KEYS.keys():
            self.incomplete.append(
                "policy variables with the principal's ARN or account, or compared with them"
            )
        return tuple(map(self._axis, groups))

    def _region_is_plain(self) -> bool:
        """Return whether no policy variable affects the keys tied to the ARN's region."""
        needs, patterns = self._gathered.needs, self._gathered.fields.get(ARN_REGION, ())
        users = {name for name, needed in needs.items() if REGION in needed}
        needed = needs.get(ARN_REGION, set()) | needs.get(REGION, set())
        alone = all(len(pattern.parts) == 1 for pattern in patterns if REGION in pattern.needs)
        return needed <= {REGION} and users <= {ARN_REGION} and alone

    def _groups(self, tests: Iterable[Test]) -> list[list[str]]:
        keys = self._gathered.keys
        links = [set(test.keys) for test in tests]
        links += [{key, *needed} for key, needed in self._gathered.needs.items()]
        links += self._assumed.ties(keys)
        groups = [{key} for key in keys]
        for link in links:
            touched = [group for group in groups if group & link]
            if len(touched) > 1:
                groups = [group for group in groups if group not in touched]
                groups.append(set().union(*touched))
        return [[key for key in keys if key in group] for group in groups]

    def _axis(self, group: list[str]) -> Axis:
        choices: list[Choice] = [{}]
        for key in self._ordered(group):
            longer: list[Choice] = []
            for choice in choices:
                longer += [{**choice, **further} for further in self._choices(key, choice)]
                many = len(longer) > MAX_CHOICES
                if many or self._budget.left < 0:
                    reason = f"more than {MAX_CHOICES} combinations of {', '.join(group)}"
                    self.incomplete.append(reason if many else TOO_MUCH)
                    longer = longer[:MAX_CHOICES]
                    break
            self._budget.left -= CHOSEN * len(longer)
            choices = longer
        return Axis(frozenset(group), tuple(filter(self._assumed.admits, choices)))

    def _ordered(self, group: list[str]) -> list[str]:
        """Return *group* in order: a variable's key comes before the keys compared with it."""
        if len(group) == 1:
            return group
        first = {
            CALLER: CALLER in group,
            ARN_ID: not self._assumed.id_keys.isdisjoint(group),
            PRINCIPAL_ARN: CALLER_KEYS.keys() <= set(group),
        }
        done = [key for key, comes_first in first.items() if comes_first]
        left = [key for key in group if key not in done]
        if self._regions and REGION in left and ARN_REGION in left:
            left.remove(ARN_REGION)
        while left:
            needs = {key: self._gathered.needs.get(key, frozenset()) - {key} for key in left}
            free = [key for key in left if needs[key].isdisjoint(left)]
            if not free:
                self.incomplete.append(f"policy variables of {left[0]} that refer to each other")
                free = left[:1]
            done += free
            left = [key for key in left if key not in free]
        return done

    def _choices(self, key: str, choice: Choice) -> Iterator[Choice]:
        assumed = self._assumed
        if key == CALLER:
            callers, complete = callers_of(self._gathered.parts, self._gathered.partitions)
            if not complete:
                self.incomplete.append("the patterns of the caller's ARN")
            yield from ({CALLER: caller} for caller in callers if assumed.keeps_caller(caller))
            return
        if key in FIELD_KEYS:
            texts = self._field_texts(key, choice)
            yield from ({key: text} for text in texts if assumed.keeps_field(key, text))
            return
        determined = assumed.determined(key, choice)
        names = assumed.names(key)
        if determined is None:
            values = self._values(key, names, choice)
            yield from self._named(key, names, (v for v in values if assumed.keeps(key, v)))
            return
        if key in self._used:
            self.incomplete.append(f"the policy variable ${{{names[0]}}}")
        yield from (dict.fromkeys(names, v) if v is not None else {} for v in determined)

    def _named(self, key: str, names: tuple[str, ...], values: Iterable[Any]) -> Iterator[Choice]:
        """Yield *values* under all *names*, and under those that AWS sends here."""
        own = self._gathered.own_names(key)
        others = [name for name in names if name not in own]
        for value in values:
            choice: dict[str, Any] = {} if value is None else dict.fromkeys(names, value)
            if key == REGION and self._regions:
                if not self._is_region(self._regions, value):
                    continue
                choice[ARN_REGION] = value
            yield choice
            if choice and others:
                yield {name: held for name, held in choice.items() if name not in others}

    def _is_region(self, regions: Glob, value: Any) -> bool:
        """Return whether *value* may be the region in the resource's ARN."""
        if not isinstance(value, str) or is_text_of(regions, value):
            return isinstance(value, str)
        named = [] if regions.plain else self._field_globs(ARN_REGION, {})
        return any(pattern.plain == value for pattern in named)

    def _values(self, key: str, names: tuple[str, ...], choice: Choice) -> tuple[Any, ...]:
        """Return the values of *key*, cached; per place if variables are involved."""
        extra = tuple(self._assumed.distinguished_by(key))
        if key == REGION and self._regions:
            extra += (*self._field_globs(ARN_REGION, choice), self._regions)
            hints = tuple(_field_hints(self._gathered.place, REGION_FIELD, extra))
            return self._kept({}, key, lambda: self._made(key, names, choice, extra, hints))
        mark = (key, names, self._needed(key, choice), *extra)
        memo = self._varied if key in self._varying else self._gathered.memo
        return self._kept(memo, mark, lambda: self._made(key, names, choice, extra))

    def _kept(self, memo: Memo, mark: Any, make: Callable[[], Values]) -> tuple[Any, ...]:
        if mark not in memo:
            self._budget.left -= MADE
            memo[mark] = make()
        values: Values = memo[mark]
        self.incomplete += values.missing
        return values.values

    def _made(
        self,
        key: str,
        names: tuple[str, ...],
        choice: Choice,
        extra: tuple[Glob, ...],
        hints: tuple[str, ...] = (),
    ) -> Values:
        gathered = self._gathered
        if key not in self._drawn:
            self._drawn[key] = variable_hints(gathered, key)
        drawn, complete = self._drawn[key]
        missing = () if complete else (f"the policy variable ${{{names[0]}}}",)
        needed = (name for used in gathered.needs.get(key, ()) for name in gathered.names(used))
        variables = tuple(
            (name, value) for name in needed if isinstance(value := choice.get(name), str)
        )
        conditions, several = tuple(gathered.conditions[key]), key in gathered.lists
        result = values_of(Query(names, conditions, variables, hints, extra, several))
        further = [text for text in drawn if text not in result.values]
        return Values((*further, *result.values), (*missing, *result.missing))

    def _field_globs(self, key: str, choice: Choice) -> list[Glob]:
        patterns = dict.fromkeys(self._gathered.fields.get(key, ()))
        return [g for pattern in patterns if (g := pattern.glob(choice)) is not None]

    def _field_texts(self, key: str, choice: Choice) -> Iterable[str]:
        place, memo = self._gathered.place, self._gathered.memo
        index = FIELD_KEYS.index(key)
        assert place.fields is not None  # noqa: S101 - asked of ARNs only
        universe = place.fields[index - 1]
        last = (place.type, place.kinds, self._assumed.id_keys) if key == ARN_ID else ()
        extra = tuple(self._assumed.distinguished_by(key))
        mark = (key, universe, place.prefix, last, extra, self._needed(key, choice))
        return self._kept(memo, mark, lambda: self._made_texts(index, universe, choice, extra))

    def _made_texts(
        self, index: int, universe: Glob, choice: Choice, extra: tuple[Glob, ...]
    ) -> Values:
        gathered, place = self._gathered, self._gathered.place
        own = self._field_globs(FIELD_KEYS[index], choice)
        globs = [*own, *extra]
        is_last = FIELD_KEYS[index] == ARN_ID
        if is_last:
            # The conditions' patterns for the resource's id are patterns of the ARN's end.
            start = glob(f"{place.type}/")
            conditions = (c for key in self._assumed.id_keys for c in gathered.conditions[key])
            globs += (start.then(pattern) for c in conditions for pattern in c.globs({}))
        kinds = place.kinds if is_last else ()
        # A request about several types is nobody's witness, so its texts need not be read.
        hints = [] if kinds else _field_hints(place, index, globs)
        if index == PARTITION_FIELD:
            hints = [*gathered.partitions, *hints]
        texts, complete = representatives(globs, hints, universe, kinds)
        if index in {REGION_FIELD, ACCOUNT_FIELD} and universe.plain is None:
            # What a policy names as a region or an account is taken for one, whatever its form.
            plain = (pattern.plain for pattern in own)
            texts = tuple(dict.fromkeys((*texts, *(t for t in plain if t and "/" not in t))))
        missing = f"the patterns of the resource's {FIELD_KEYS[index]}"
        return Values(texts, () if complete else (missing,))

    def _needed(self, key: str, choice: Choice) -> tuple[Any, ...]:
        """Return the values of the policy variables that *key* is compared with."""
        needed = self._gathered.needs.get(key, ())
        values = (choice.get(name) for used in needed for name in self._gathered.names(used))
        return tuple(tuple(value) if isinstance(value, list) else value for value in values)


def _field_hints(place: Place, index: int, globs: Iterable[Glob]) -> list[str]:
    is_last = FIELD_KEYS[index] == ARN_ID
    name = EXAMPLE_IDS.get(place.type, "foreign") if is_last else "foreign"
    own: dict[int, tuple[str, ...]] = {
        PARTITION_FIELD: PARTITIONS,
        2: (place.prefix, "s3", "ec2", "iam"),
        REGION_FIELD: REGIONS,
        ACCOUNT_FIELD: (EXAMPLE_ACCOUNT, OTHER_ACCOUNT, "444455556666"),
    }
    of_place = place.fields[index - 1 : index] if place.fields else ()
    patterns = (*(pattern for pattern in of_place if pattern != REGION_NAME), *globs)
    texts = [filled(pattern, many) for pattern in patterns for many in (name, "", "1")]
    return [*own.get(index, ()), *texts, *([""] if index == REGION_FIELD else [])]
