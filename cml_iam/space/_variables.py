"""Values for policy variables: enough of them to represent every possible value.

Consider the pattern `home/${aws:username}/*` and others on the same key. The text before the
variable, `home/`, leads the automata of all patterns to one state, and a username leads on from
there. Two usernames that lead to the same state, and that the conditions on aws:username treat
alike, match and miss the same patterns. One value for each state would be enough if no text began
with another. But if a text begins with the value, this pattern matches it, and what the other
patterns have left to match depends on the value. Therefore several values are created for each
state, none of them a prefix of another: one more than the number of keys compared with the
variable. A text can begin with only one of them, so at least one value remains that no text begins
with.

This is exact if the text before the variable has no wildcard; if any two patterns with the variable
share that text or differ within it; and if the keys are compared only with case-sensitive text
patterns. In all other cases a search without a witness is undecided.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import accumulate, islice, pairwise
from typing import Final

from cml_iam.engine.parts import Token, Variable
from cml_iam.facts import key_type
from cml_iam.space._examples import base_type
from cml_iam.space._gathered import Gathered
from cml_iam.space._globs import DIGITS, OTHERS, Glob, Machine, Wild, glob
from cml_iam.space._statements import FIELD_KEYS, variable_keys
from cml_iam.space._values import FORMS, compares_texts

MAX_STATES: Final = 400
MAX_WORDS: Final = 400
"""The maximum number of texts examined to find several of a class, none a prefix of another."""

COLON: Final = glob("*:*")
"""A value with a colon; in a field of an ARN, it makes a pattern meaningless."""

EXAMPLES: Final = ("example", "someone", "fresh-name", "q7")
Start = tuple[tuple[Glob, ...], str]
"""The patterns, and the text read before the variable begins."""


def variable_hints(gathered: Gathered, key: str) -> tuple[list[str], bool]:
    """Return values for the variable *key*, and whether they suffice."""
    users = [name for name, needed in gathered.needs.items() if key in needed]
    if not users and key not in gathered.in_fields:
        return [], True
    complete = _is_text(gathered, key) and not gathered.needs.get(key)
    starts: dict[Start, None] = {}
    for user in users:
        conditions, fields = gathered.conditions.get(user, ()), gathered.fields.get(user, ())
        parsed = [parts for condition in conditions for parts in condition.parsed()]
        keys = {parts: variable_keys(parts) for parts in (*(f.parts for f in fields), *parsed)}
        befores = [_before(parts) for parts, named in keys.items() if key in named]
        starting = list(dict.fromkeys(text for text in befores if text is not None))
        complete = complete and None not in befores and _apart(starting)
        complete = complete and all(key in named for named in keys.values() if named)
        complete = complete and _is_text(gathered, user) and _is_exact(gathered, user)
        globs = tuple(_plain_globs(gathered, user))
        starts.update(dict.fromkeys((globs, before) for before in starting))
    own = [g for condition in gathered.conditions.get(key, ()) for g in condition.globs({})]
    own += [*FORMS.get(base_type(key), ()), *([COLON] if key in gathered.in_fields else [])]
    texts, all_there = _walk(((tuple(own), ""), *starts), len(users) + 1)
    return list(texts), complete and all_there


def _is_text(gathered: Gathered, key: str) -> bool:
    """Return whether *key* is a text, not a number, date or address, and compared only as text."""
    return compares_texts(key, gathered.conditions.get(key, ()))


def _is_exact(gathered: Gathered, user: str) -> bool:
    """Return whether *user*, compared with variables, is single-valued and case-sensitive."""
    varying = [condition for condition in gathered.conditions.get(user, ()) if condition.needs()]
    if varying and user in gathered.lists and key_type(user) is None:
        return False
    return not any(
        condition.operator.qualifier
        or condition.family == "bool"
        or "ignorecase" in condition.operator.base
        for condition in varying
    )


def _plain_globs(gathered: Gathered, user: str) -> Iterator[Glob]:
    """Yield the patterns of *user* without variables, and those that all its values match."""
    for condition in gathered.conditions.get(user, ()):
        yield from condition.globs({})
        yield from FORMS["Bool"] if condition.family == "bool" else ()
    yield from FORMS.get(base_type(user), ())
    for pattern in gathered.fields.get(user, ()):
        plain = None if pattern.needs else pattern.glob({})
        yield from () if plain is None else (plain,)
    if user in FIELD_KEYS and gathered.place.fields is not None:
        index = FIELD_KEYS.index(user)
        yield gathered.place.fields[index - 1]
        yield from gathered.place.kinds if index == len(FIELD_KEYS) - 1 else ()


def _before(parts: Sequence[Token]) -> str | None:
    """Return the plain text before the only variable of *parts*, or None."""
    variables = [p for p in parts if isinstance(p, Variable)]
    if len(variables) != 1:
        return None
    before = parts[: list(parts).index(variables[0])]
    return "".join(map(str, before)) if all(isinstance(p, str) for p in before) else None


def _apart(texts: Sequence[str]) -> bool:
    """Return whether none of *texts* is a prefix of another."""
    return all(_is_end(text, texts) for text in texts)


@lru_cache(1 << 9)
def _walk(starts: tuple[Start, ...], count: int) -> tuple[tuple[str, ...], bool]:
    """Return *count* texts for each combination of states that the patterns can reach together.

    For the patterns of the first start, only acceptance matters, not their states.
    """
    walk = _Walk(starts, count)
    chosen: list[str] = []
    complete = walk.complete
    for kind in walk.kinds:
        texts, all_there = walk.texts(kind)
        chosen += texts
        complete = complete and all_there
    return tuple(sorted(dict.fromkeys(chosen), key=lambda text: text not in EXAMPLES)), complete


class _Walk:
    """All patterns run in parallel, each from its state where the variable begins."""

    def __init__(self, starts: Sequence[Start], count: int) -> None:
        self._machine = machine = Machine([pattern for globs, _ in starts for pattern in globs])
        self._count = count
        named = set(machine.alphabet)
        # Beyond the usual characters there are always more that nobody names.
        usual = (*OTHERS, *map(chr, range(0x2460, 0x2480)))
        self._fresh = [*islice((c for c in usual if c not in named), count)]
        if any(Wild.DIGIT in glob.symbols for globs, _ in starts for glob in globs):
            self._fresh += [*islice((c for c in DIGITS if c not in named), count)]
        self._letters = [*sorted(named), *self._fresh]
        sizes = [sum(len(pattern.symbols) + 1 for pattern in globs) for globs, _ in starts]
        ends = [*accumulate(sizes, initial=0)]
        masks = [(1 << end) - (1 << start) for start, end in pairwise(ends)]
        self._first = masks[0]
        self._begin = sum(
            machine.run(before, machine.start & mask)
            for mask, (_, before) in zip(masks, starts, strict=True)
        )
        self.states = {self._begin: ""}
        self._moves: dict[int, dict[str, int]] = {}
        self._came: dict[int, set[int]] = defaultdict(set)
        self.complete = self._explore()
        self.kinds: dict[int, list[int]] = defaultdict(list)
        for state in self.states:
            self.kinds[self._kind(state)].append(state)

    def _kind(self, state: int) -> int:
        return self._machine.accepts(state & self._first) | (state & ~self._first)

    def _explore(self) -> bool:
        """Find the states, each with a shortest text that leads to it; False if some are left."""
        pending = deque([self._begin])
        while pending:
            here = pending.popleft()
            moves = self._moves[here] = {}
            for char in self._letters:
                after = moves[char] = self._machine.run(char, here)
                self._came[after].add(here)
                if after not in self.states:
                    if len(self.states) >= MAX_STATES:
                        return False
                    self.states[after] = self.states[here] + char
                    pending.append(after)
        return True

    def texts(self, kind: int) -> tuple[list[str], bool]:
        """Return texts of *kind*, none a prefix of another: as many as needed, or all there are."""
        run, begin = self._machine.run, self._begin
        examples = [text for text in EXAMPLES if self._kind(run(text, begin)) == kind]
        if len(examples) >= self._count:
            return examples[: self._count], True
        for state in self.kinds[kind]:
            moves = self._moves.get(state, {})
            longer = [c for c in self._fresh if c in moves and self._kind(moves[c]) == kind]
            if len(longer) >= self._count:
                return [self.states[state] + char for char in longer[: self._count]], True
        return self._searched(kind)

    def _searched(self, kind: int) -> tuple[list[str], bool]:
        leading = self._leading_to(self.kinds[kind])
        pending = deque([(self._begin, "")] if self._begin in leading else [])
        texts: list[str] = []
        for _ in range(MAX_WORDS):
            if not pending:
                return texts, True
            state, text = pending.popleft()
            if self._kind(state) == kind:
                texts.append(text)
                if sum(_is_end(one, texts) for one in texts) >= self._count:
                    return texts, True
            pending.extend(
                (after, text + char)
                for char, after in self._moves.get(state, {}).items()
                if after in leading
            )
        return texts, False

    def _leading_to(self, states: Iterable[int]) -> set[int]:
        leading = set(states)
        pending = deque(leading)
        while pending:
            new = self._came[pending.popleft()] - leading
            leading |= new
            pending.extend(new)
        return leading


def _is_end(text: str, texts: Iterable[str]) -> bool:
    """Return whether *text* is not a prefix of another of *texts*."""
    return not any(other != text and other.startswith(text) for other in texts)
