"""The axes of a place: for each key of a request, the choices that the statements distinguish.

Keys are independent unless a policy variable or a fact about AWS ties them. Tied keys share one
axis, whose choices are the possible combinations.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from cml_iam.facts import REGION
from cml_iam.space._boxes import CHOSEN, MADE, TOO_MUCH, Budget
from cml_iam.space._callers import PRINCIPAL_ACCOUNT, PRINCIPAL_ARN, callers_of
from cml_iam.space._examples import RESOURCE_FIELD, field_hints
from cml_iam.space._globs import Glob, representatives
from cml_iam.space._places import ACCOUNT_FIELD, REGION_FIELD
from cml_iam.space._statements import CALLER, FIELD_KEYS, Choice, Test
from cml_iam.space._values import Query, Values, fits, values_of
from cml_iam.space._variables import variable_hints

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from cml_iam.space._assume import Assumptions
    from cml_iam.space._gathered import Gathered, Memo

PARTITION_FIELD: Final = 1
ARN_AND_ACCOUNT: Final = frozenset({PRINCIPAL_ARN, PRINCIPAL_ACCOUNT})

MAX_CHOICES: Final = 4_000
"""The maximum number of value combinations of keys that depend on each other."""


class Axis(NamedTuple):
    """The *choices* for some keys, each a mapping from key to value."""

    keys: frozenset[str]
    choices: tuple[Choice, ...]


class AxisMaker:
    """Creates the axes of a place under some assumptions; reports what is incomplete."""

    def __init__(self, gathered: Gathered, assumed: Assumptions, budget: Budget) -> None:
        self.gathered, self.assumed, self._budget = gathered, assumed, budget
        self.incomplete: list[str] = []
        self._tied = assumed.region_tied
        self._id_keys = assumed.id_keys
        self._drawn: dict[str, tuple[list[str], bool]] = {}
        self._varied: Memo = {}
        self._varying = {key for key, needed in gathered.needs.items() if needed}
        self._varying |= {key for needed in gathered.needs.values() for key in needed}

    def axes(self, tests: Iterable[Test]) -> tuple[Axis, ...]:
        """Return the axes; each test depends on exactly one of them."""
        groups = self._groups(tests)
        if self._tied and not self._tie_is_plain():
            self.incomplete.append("policy variables with the region, or compared with it")
        if self._id_keys and self._varying & {*self._id_keys, FIELD_KEYS[RESOURCE_FIELD]}:
            self.incomplete.append("policy variables with the resource's id, or compared with it")
        if self.assumed.account_tied and self._varying & ARN_AND_ACCOUNT:
            self.incomplete.append(
                "policy variables with the principal's ARN or account, or compared with them"
            )
        return tuple(self._axis(group) for group in groups)

    def _tie_is_plain(self) -> bool:
        """Return whether no policy variable affects the keys tied to the ARN's region."""
        region = FIELD_KEYS[3]
        itself = {p.parts for p in self.gathered.fields.get(region, ()) if REGION in p.needs}
        users = {name for name, needed in self.gathered.needs.items() if REGION in needed}
        needed = self.gathered.needs.get(region, set()) | self.gathered.needs.get(REGION, set())
        return needed <= {REGION} and users <= {region} and all(len(p) == 1 for p in itself)

    def _groups(self, tests: Iterable[Test]) -> list[list[str]]:
        keys = self.gathered.keys
        links = [set(test.keys) for test in tests]
        links += [{key, *needed} for key, needed in self.gathered.needs.items()]
        links += self.assumed.ties(keys)
        groups = [{key} for key in keys]
        for link in links:
            touched = [each for each in groups if each & link]
            if len(touched) > 1:
                groups = [each for each in groups if each not in touched]
                groups.append(set().union(*touched))
        return [[key for key in keys if key in group] for group in groups]

    def _axis(self, group: list[str]) -> Axis:
        choices: list[Choice] = [{}]
        for key in self._ordered(group):
            longer: list[Choice] = []
            for given in choices:
                longer += [{**given, **made} for made in self._choices(key, given)]
                if len(longer) > MAX_CHOICES or self._budget.left < 0:
                    self.incomplete.append(
                        f"more than {MAX_CHOICES} combinations of {', '.join(group)}"
                        if len(longer) > MAX_CHOICES
                        else TOO_MUCH
                    )
                    longer = longer[:MAX_CHOICES]
                    break
            self._budget.left -= CHOSEN * len(longer)
            choices = longer
        kept = [choice for choice in choices if self.assumed.admits(choice)]
        return Axis(frozenset(group), tuple(kept))

    def _ordered(self, group: list[str]) -> list[str]:
        """Return *group* in order: a variable's key comes before the keys compared with it."""
        left, done = list(group), list[str]()
        if CALLER in left:
            left.remove(CALLER)
            done.append(CALLER)
        if self._id_keys & set(left):
            left.remove(FIELD_KEYS[RESOURCE_FIELD])
            done.append(FIELD_KEYS[RESOURCE_FIELD])
        if ARN_AND_ACCOUNT.issubset(left):
            left.remove(PRINCIPAL_ARN)
            done.append(PRINCIPAL_ARN)
        if self._tied and REGION in left and FIELD_KEYS[3] in left:
            left.remove(FIELD_KEYS[3])
        while left:
            free = [
                k for k in left if not self.gathered.needs.get(k, frozenset()) & set(left) - {k}
            ]
            if not free:
                self.incomplete.append(f"policy variables of {left[0]} that refer to each other")
                free = left[:1]
            done += free
            left = [k for k in left if k not in free]
        return done

    def _choices(self, key: str, given: Choice) -> Iterator[Choice]:
        if key == CALLER:
            callers, complete = callers_of(self.gathered.parts, self.gathered.partitions)
            if not complete:
                self.incomplete.append("the patterns of the caller's ARN")
            yield from ({CALLER: c} for c in callers if self.assumed.keeps_caller(c))
            return
        if key in FIELD_KEYS:
            texts = self._field_texts(key, given)
            yield from ({key: text} for text in texts if self.assumed.keeps_field(key, text))
            return
        known = self.assumed.determined(key, given)
        names = self.assumed.names(key)
        if known is not None:
            if any(key in needed for needed in self.gathered.needs.values()):
                self.incomplete.append(f"the policy variable ${{{names[0]}}}")
            yield from (dict.fromkeys(names, v) if v is not None else {} for v in known)
            return
        for value in self._values(key, names, given).values:
            if not self.assumed.keeps(key, value):
                continue
            made: dict[str, Any] = {} if value is None else dict.fromkeys(names, value)
            if key == REGION and self._tied:
                if not self._is_region(value):
                    continue
                made[FIELD_KEYS[3]] = value
            yield from self._in_own_names(made, set(names) - set(self.gathered.own_names(key)))

    @staticmethod
    def _in_own_names(made: Choice, others: set[str]) -> Iterator[Choice]:
        """Yield *made*, then a copy without *others*, the names that AWS does not send here."""
        yield made
        if made and others:
            yield {name: each for name, each in made.items() if name not in others}

    def _values(self, key: str, names: tuple[str, ...], given: Choice) -> Values:
        """Return the values of *key*, cached; per place if variables are involved."""
        if key == REGION and self._tied:
            self._budget.left -= MADE
            return self._made(key, names, given)
        mark = (key, names, self._needed(key, given), *self.assumed.distinguished_by(key))
        memo = self._varied if key in self._varying else self.gathered.memo
        if mark not in memo:
            self._budget.left -= MADE
            before = len(self.incomplete)
            memo[mark] = self._made(key, names, given), tuple(self.incomplete[before:])
            del self.incomplete[before:]
        found: tuple[Values, tuple[str, ...]] = memo[mark]
        self.incomplete += found[1]
        return found[0]

    def _made(self, key: str, names: tuple[str, ...], given: Choice) -> Values:
        asked = self.gathered.conditions[key]
        extra = list(self.assumed.distinguished_by(key))
        hints: list[str] = []
        if key == REGION and self._tied:
            extra += [*self._field_globs(FIELD_KEYS[3], given), self._regions]
            hints += field_hints(self.gathered.place, 3, extra)
        if key not in self._drawn:
            self._drawn[key] = variable_hints(self.gathered, key)
        drawn, complete = self._drawn[key]
        if not complete:
            self.incomplete.append(f"the policy variable ${{{names[0]}}}")
        needed = self.gathered.needs.get(key, frozenset())
        variables = tuple(
            (name, value)
            for each in needed
            for name in self.gathered.names(each)
            if isinstance(value := given.get(name), str)
        )
        several = key in self.gathered.lists
        query = Query(names, tuple(asked), variables, tuple(hints), tuple(extra), several)
        found = values_of(query)
        if not found.complete:
            self.incomplete.append(found.reason)
        if drawn:
            more = [each for each in drawn if each not in found.values]
            return Values((*more, *found.values), found.complete, found.reason)
        return found

    @property
    def _regions(self) -> Glob:
        """The pattern that the region in the resource's ARN matches."""
        fields = self.gathered.place.fields
        assert fields is not None  # noqa: S101 - asked of ARNs only
        return fields[2]

    def _is_region(self, value: Any) -> bool:
        return isinstance(value, str) and (
            fits(self._regions, value) or any(g.plain == value for g in self._plain_regions)
        )

    @cached_property
    def _plain_regions(self) -> list[Glob]:
        """The patterns of the region in ARNs, unless the ARNs here have a fixed one."""
        return [] if self._regions.plain else self._field_globs(FIELD_KEYS[3], {})

    def _field_globs(self, key: str, given: Choice) -> list[Glob]:
        patterns = self.gathered.fields.get(key, ())
        found = dict.fromkeys(patterns)
        return [g for pattern in found if (g := pattern.glob(given)) is not None]

    def _id_globs(self) -> Iterator[Glob]:
        """Yield the conditions' patterns for the resource's id, as patterns of the ARN's end."""
        start = tuple(f"{self.gathered.place.type}/")
        for key in self._id_keys:
            for condition in self.gathered.conditions[key]:
                yield from (g._replace(symbols=(*start, *g.symbols)) for g in condition.globs({}))

    def _field_texts(self, key: str, given: Choice) -> Iterable[str]:
        place, memo = self.gathered.place, self.gathered.memo
        index = FIELD_KEYS.index(key)
        assert place.fields is not None  # noqa: S101 - asked of ARNs only
        universe = place.fields[index - 1]
        last = (place.type, place.kinds, self._id_keys) if index == RESOURCE_FIELD else ()
        taken = tuple(self.assumed.distinguished_by(key))
        mark = (key, universe, place.prefix, last, taken, self._needed(key, given))
        if mark not in memo:
            self._budget.left -= MADE
            memo[mark] = self._made_texts(index, universe, given)
        texts, complete = memo[mark]
        if not complete:
            self.incomplete.append(f"the patterns of the resource's {key}")
        found: Iterable[str] = texts
        return found

    def _made_texts(
        self, index: int, universe: Glob, given: Choice
    ) -> tuple[tuple[str, ...], bool]:
        """Return one text of each class for an ARN field, and whether every class has one."""
        place = self.gathered.place
        own = self._field_globs(FIELD_KEYS[index], given)
        globs = [*own, *self.assumed.distinguished_by(FIELD_KEYS[index])]
        if index == RESOURCE_FIELD:
            globs += self._id_globs()
        kinds = place.kinds if index == RESOURCE_FIELD else ()
        # A request about several types is nobody's witness, so its texts need not be read.
        hints = [] if kinds else field_hints(place, index, globs)
        if index == PARTITION_FIELD:
            hints = [*self.gathered.partitions, *hints]
        texts, complete = representatives(globs, hints, universe, kinds)
        if index in {REGION_FIELD, ACCOUNT_FIELD} and universe.plain is None:
            # What a policy names as a region or an account is taken for one, whatever its form.
            plain = (glob.plain for glob in own)
            texts = tuple(dict.fromkeys((*texts, *(t for t in plain if t and "/" not in t))))
        return texts, complete

    def _needed(self, key: str, given: Choice) -> tuple[Any, ...]:
        """Return the values of the policy variables that *key* is compared with."""
        needed = self.gathered.needs.get(key, frozenset())
        values = (given.get(name) for each in needed for name in self.gathered.names(each))
        return tuple(tuple(value) if isinstance(value, list) else value for value in values)
