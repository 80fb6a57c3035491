"""Classes of texts that patterns distinguish, found by running all patterns at once.

Each pattern is an automaton whose states are the positions in it. Run in parallel over the same
text, the automata reach a set of states; the patterns that accept there are the class of the text.
The number of sets is finite, so a walk through all of them finds every class, including that of the
empty text, each with a shortest text.

Texts consist of the characters in the patterns and one more that stands for all others. The Kelvin
sign, whose lower case is the letter k, is therefore excluded.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import Enum
from functools import lru_cache
from itertools import islice, takewhile
from typing import Final, NamedTuple

MAX_STATES: Final = 50_000
"""The maximum number of states visited for the patterns of one condition key; beyond it, undecided.
"""

OTHERS: Final = "xzqwvjykubhnmfgdsaeiorlptc-_~"
"""Candidates for a character that no pattern names; the first unnamed one represents all others."""


class Wild(Enum):
    """A wildcard, or one that stays inside a field of an ARN."""

    MANY = "*"
    ONE = "?"
    MANY_INSIDE = "*, no colon"
    ONE_INSIDE = "?, no colon"
    DIGIT = "one of ten"
    LETTER = "one of a to z"
    WORDS = "any number of a to z and -"

    __hash__ = object.__hash__  # that of Enum is Python's, and patterns are hashed all the time


DIGITS: Final = "0123456789"
LETTERS: Final = "abcdefghijklmnopqrstuvwxyz"
_MANY: Final = frozenset({Wild.MANY, Wild.MANY_INSIDE, Wild.WORDS})
_INSIDE: Final = frozenset({Wild.MANY_INSIDE, Wild.ONE_INSIDE})
_OF_WORDS: Final = frozenset({Wild.LETTER, Wild.WORDS})

Symbol = str | Wild
"""One character, or a wildcard."""

_IN_FIELD: Final[Mapping[Symbol, Symbol]] = {
    Wild.MANY: Wild.MANY_INSIDE,
    Wild.ONE: Wild.ONE_INSIDE,
}


def in_field(symbol: Symbol) -> Symbol:
    """Return *symbol* as it is read inside a field of an ARN."""
    return _IN_FIELD.get(symbol, symbol)


class Glob(NamedTuple):
    """A pattern; with *fold*, it ignores case."""

    symbols: tuple[Symbol, ...]
    fold: bool = False

    @property
    def plain(self) -> str | None:
        """The only text that the pattern matches, or None if there are several."""
        for symbol in self.symbols:
            if isinstance(symbol, Wild):
                return None
        text = "".join(map(str, self.symbols))
        return None if self.fold and text.swapcase() != text else text

    def then(self, other: Glob) -> Glob:
        """Return the pattern of texts that match this one and then *other*."""
        return Glob((*self.symbols, *other.symbols), self.fold or other.fold)


REGION_NAME: Final = Glob((Wild.LETTER, Wild.WORDS, "-", Wild.WORDS, Wild.LETTER, "-", Wild.DIGIT))
"""Region names, including future ones: words and a digit, such as `eu-central-1`."""

ACCOUNT_ID: Final = Glob((Wild.DIGIT,) * 12)


@lru_cache(1 << 13)
def beginning(parts: tuple[object, ...]) -> str:
    """Return the text of a pattern before its first wildcard or variable."""
    return "".join(map(str, takewhile(lambda part: isinstance(part, str), parts)))


@lru_cache(1 << 12)
def glob(text: str, *, inside: bool = False) -> Glob:
    """Return the pattern *text*, in which `*` and `?` are wildcards."""
    symbols: Iterable[Symbol] = (Wild(char) if char in "*?" else char for char in text)
    return Glob(tuple(map(in_field, symbols) if inside else symbols))


@lru_cache(1 << 12)
def filled(pattern: Glob, many: str) -> str:
    """Return *pattern* with *many* for `*`, *many* or else 2 for `?*`, and 2 for the others."""
    text = ""
    after: Symbol = ""
    for symbol in reversed(pattern.symbols):
        if not isinstance(symbol, Wild):
            text = symbol + text
        elif symbol in _MANY:
            text = many + text
        elif after not in _MANY or not many:
            text = "2" + text
        after = symbol
    return text


class Machine:
    """All *globs* run in parallel: a state is the set of positions in them, as bits."""

    def __init__(self, globs: Sequence[Glob]) -> None:
        self.alphabet, self._stand_ins = _alphabet(globs)
        self.other = self._stand_ins[0]
        self._moves = dict.fromkeys(self.alphabet, 0)
        self._stays = dict.fromkeys(self.alphabet, 0)
        self._skips = self.start = at = 0
        self.finals: list[int] = []
        wild: dict[Wild, int] = {}
        for pattern in globs:
            self.start |= 1 << at
            self._add(pattern, at, wild)
            at += len(pattern.symbols) + 1
            self.finals.append(1 << (at - 1))
        self._add_wild(wild)
        self._final = sum(self.finals)
        self.start = self._closed(self.start)
        self._distinguish()

    def _add(self, pattern: Glob, at: int, wild: dict[Wild, int]) -> None:
        for position, symbol in enumerate(pattern.symbols, start=at):
            bit = 1 << position
            if isinstance(symbol, Wild):
                wild[symbol] = wild.get(symbol, 0) | bit
                continue
            for char in _cases(symbol) if pattern.fold else (symbol,):
                self._moves[char] |= bit

    def _add_wild(self, wild: Mapping[Wild, int]) -> None:
        for symbol, bits in wild.items():
            table = self._stays if symbol in _MANY else self._moves
            self._skips |= bits if symbol in _MANY else 0
            for char in self.alphabet:
                if _takes(symbol, char):
                    table[char] |= bits

    def _distinguish(self) -> None:
        """Find the characters that lead elsewhere than `other` does, from every state or some."""
        moves, stays = self._moves[self.other], self._stays[self.other]
        self._everywhere = [char for char in self.alphabet if self._stays[char] != stays]
        self._from: dict[int, list[str]] = {}
        for char in self.alphabet[1:]:
            own = self._moves[char] ^ moves
            while own:
                bit = own & -own
                own ^= bit
                self._from.setdefault(bit, []).append(char)
        self._telling = sum(self._from)

    def step(self, state: int, char: str) -> int:
        """Return the state after one more character."""
        moved = ((state & self._moves[char]) << 1) | (state & self._stays[char])
        return self._closed(moved) if moved & self._skips else moved

    def _closed(self, state: int) -> int:
        longer = state | ((state & self._skips) << 1)
        while longer != state:
            state, longer = longer, longer | ((longer & self._skips) << 1)
        return state

    def run(self, text: str, state: int | None = None) -> int:
        """Return the state after *text*."""
        state = self.start if state is None else state
        for char in text:
            if not state:
                break
            if char not in self._moves:
                kind = 1 if char in DIGITS else 2 if char in LETTERS else 0
                char = self._stand_ins[kind]  # noqa: PLW2901 - its class
            state = self.step(state, char)
        return state

    def accepts(self, state: int) -> int:
        """Return the patterns that match a text ending here, as bits of `finals`."""
        return state & self._final

    def steps(self, state: int) -> Iterator[tuple[str, int]]:
        """Yield every different step from *state*, each with one character."""
        yield self.other, self.step(state, self.other)
        chars = {*self._everywhere}
        telling = state & self._telling
        while telling:
            bit = telling & -telling
            telling ^= bit
            chars.update(self._from[bit])
        for char in sorted(chars):
            yield char, self.step(state, char)

    def reachable(self, limit: int = MAX_STATES) -> tuple[dict[int, str], bool]:
        """Return states, each with a shortest text that leads to it, and whether these are all."""
        texts = {self.start: ""}
        pending = deque([self.start])
        while pending:
            state = pending.popleft()
            text = texts[state]
            for char, after in self.steps(state):
                if after not in texts:
                    if len(texts) >= limit:
                        return texts, False
                    texts[after] = text + char
                    pending.append(after)
        return texts, True

    def words(self, states: Iterable[int], kind: int) -> Iterator[str]:
        """Yield texts of the class *kind*, those of few letters first; perhaps endlessly."""
        distance = self._distances(states, kind)
        pending = [(self.start, "")] if self.start in distance else []
        while pending:
            state, text = pending.pop()
            if distance[state] == 0:
                yield text
            after = [(self.step(state, char), char) for char in self.alphabet]
            reaching = [(distance[s], s, c) for s, c in after if s in distance]
            reaching.sort(key=lambda step: -step[0])
            pending.extend((s, text + c) for _, s, c in reaching)

    def _distances(self, states: Iterable[int], kind: int) -> dict[int, int]:
        before: dict[int, list[int]] = {}
        states = list(states)
        for state in states:
            for _, after in self.steps(state):
                before.setdefault(after, []).append(state)
        distance = {state: 0 for state in states if self.accepts(state) == kind}
        pending = deque(distance)
        while pending:
            state = pending.popleft()
            for earlier in before.get(state, ()):
                if earlier not in distance:
                    distance[earlier] = distance[state] + 1
                    pending.append(earlier)
        return distance


@lru_cache(1 << 14)
def is_text_of(pattern: Glob, text: str) -> bool:
    """Return whether *text* matches *pattern*."""
    machine = _alone(pattern)
    return machine.accepts(machine.run(text)) != 0


@lru_cache(1 << 10)
def _alone(pattern: Glob) -> Machine:
    return Machine([pattern])


def representatives(
    globs: Iterable[Glob],
    hints: Iterable[str] = (),
    universe: Glob | None = None,
    kinds: Iterable[Glob] = (),
) -> tuple[tuple[str, ...], bool]:
    """Return texts of *universe*, at least one of each class that *globs* distinguish.

    With *kinds*, returns only texts that match one of these. *hints* are tried first, because they
    read better than shortest texts. Also returns whether every class has a text: there can be too
    many classes to walk through.
    """
    unique = (tuple(dict.fromkeys(texts)) for texts in (globs, hints, kinds))
    return _representatives(*unique, universe)


@lru_cache(1 << 11)
def _representatives(
    globs: tuple[Glob, ...], hints: tuple[str, ...], kinds: tuple[Glob, ...], universe: Glob | None
) -> tuple[tuple[str, ...], bool]:
    literals = dict.fromkeys(t for glob in (*globs, *kinds) if (t := glob.plain) is not None)
    whole = [universe] if universe else []
    telling = [pattern for pattern in globs if pattern.plain is None]
    wild_kinds = [kind for kind in _told_apart(kinds, [*telling, *whole]) if kind.plain is None]
    wild = list(dict.fromkeys((*telling, *wild_kinds)))
    machine = Machine([*wild, *whole])
    of_universe = machine.finals[-1] if universe else 0
    of_kinds = sum(machine.finals[wild.index(kind)] for kind in wild_kinds)

    def is_inside(bits: int, text: str | None = None) -> bool:
        """Return whether texts of the class *bits*, or its literal *text*, may be returned."""
        if of_universe and not bits & of_universe:
            return False
        named = text is not None and any(is_text_of(kind, text) for kind in kinds)
        return not kinds or bool(bits & of_kinds) or named

    by_class: dict[int, str] = {}
    for text in hints:
        if text not in literals:
            by_class.setdefault(machine.accepts(machine.run(text)), text)
    states, complete = machine.reachable()
    for state, text in states.items():
        kind = machine.accepts(state)
        if kind in by_class or not is_inside(kind):
            continue
        words = machine.words(states, kind) if text in literals else iter((text,))
        # Among more words than there are literals, one is new.
        new = (word for word in islice(words, len(literals) + 2) if word not in literals)
        chosen = next(new, None)
        if chosen is not None:
            by_class[kind] = chosen
    texts = (text for kind, text in by_class.items() if is_inside(kind))
    mine = (text for text in literals if is_inside(machine.accepts(machine.run(text)), text))
    return (*mine, *texts), complete


def _told_apart(kinds: tuple[Glob, ...], globs: Sequence[Glob]) -> tuple[Glob, ...]:
    """Of *kinds*, perhaps a hundred, return one for each group that *globs* do not distinguish."""
    if not kinds[1:]:
        return kinds
    machine = Machine(globs)
    by_start: dict[object, Glob] = {}
    for kind in kinds:
        start = beginning(kind.symbols)
        rest = kind.symbols[len(start) :]
        by_start.setdefault((machine.run(start), rest) if rest and not kind.fold else kind, kind)
    return tuple(by_start.values())


def _alphabet(globs: Sequence[Glob]) -> tuple[tuple[str, ...], tuple[str, str, str]]:
    """Return the characters for the walk, and those that stand for all unnamed characters.

    One character stands for digits, one for letters and one for all others; it is the same one if
    no pattern distinguishes these groups.
    """
    wild = {symbol for glob in globs for symbol in glob.symbols if isinstance(symbol, Wild)}
    named = {":"} if wild & _INSIDE else set()
    named |= {"-"} if Wild.WORDS in wild else set()
    for pattern in globs:
        for symbol in pattern.symbols:
            if not isinstance(symbol, Wild):
                named.update(_cases(symbol) if pattern.fold else (symbol,))
    words = bool(wild & _OF_WORDS)
    fresh = [c for c in OTHERS if c not in named]
    other = next((c for c in fresh if not (words and c in LETTERS)), "\x7f")
    digit = letter = other
    if Wild.DIGIT in wild:
        digit = next((c for c in DIGITS if c not in named), "0")
    if words:
        letter = next((c for c in fresh if c in LETTERS), "a")
    return (other, *sorted((named | {digit, letter}) - {other})), (other, digit, letter)


def _takes(symbol: Wild, char: str) -> bool:
    if symbol is Wild.DIGIT:
        return char in DIGITS
    if symbol in _OF_WORDS:
        return char in LETTERS or (symbol is Wild.WORDS and char == "-")
    return char != ":" or symbol not in _INSIDE


def _cases(char: str) -> tuple[str, ...]:
    both = {char, char.lower(), char.upper()}
    return tuple(sorted(c for c in both if len(c) == 1 and c.lower() == char.lower()))
