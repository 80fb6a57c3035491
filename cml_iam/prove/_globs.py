"""Classes of texts that patterns tell apart, found by running all patterns at once.

Each pattern is an automaton whose states are the positions in it. Run side by side over the same
text they reach a set of states; what they accept there is the class of the text. There are
finitely many such states, so walking through all of them finds every class there is, the empty
text's included, each with a shortest text.

Texts are taken to be of the characters that the patterns name and of one more that stands for all
others; `K` for kelvin, whose lower case is the letter k, is therefore none of them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

MAX_STATES: Final = 20_000
"""States walked through for the patterns of one condition key; beyond them it is undecided."""

OTHERS: Final = "xz0q7wvjyk5ubhnmfgdsaeiorlptc123468-_~"
"""Characters of which the first that no pattern names stands for all that none names."""


class Wild(Enum):
    """A wildcard, also one that stays inside a field of an ARN."""

    MANY = "*"
    ONE = "?"
    MANY_INSIDE = "*, no colon"
    ONE_INSIDE = "?, no colon"


INSIDE: Final = {Wild.MANY: Wild.MANY_INSIDE, Wild.ONE: Wild.ONE_INSIDE}
_MANY: Final = frozenset({Wild.MANY, Wild.MANY_INSIDE})
_INSIDE: Final = frozenset(INSIDE.values())

Symbol = str | Wild
"""One character, or a wildcard."""


@dataclass(frozen=True, slots=True)
class Glob:
    """A pattern; with *fold* the case of letters does not count."""

    symbols: tuple[Symbol, ...]
    fold: bool = False

    @property
    def plain(self) -> str | None:
        """The one text it stands for, or None if it stands for several."""
        if any(isinstance(each, Wild) for each in self.symbols):
            return None
        text = "".join(map(str, self.symbols))
        return None if self.fold and text.swapcase() != text else text


def glob(text: str, *, inside: bool = False) -> Glob:
    """Return the pattern *text*, in which `*` and `?` are wildcards."""
    symbols: list[Symbol] = []
    for char in text:
        wild: Symbol = Wild(char) if char in "*?" else char
        symbols.append(INSIDE.get(wild, wild) if inside and isinstance(wild, Wild) else wild)
    return Glob(tuple(symbols))


@dataclass(frozen=True, slots=True)
class _Steps:
    """What one pattern does at each character, as bits of positions."""

    start: int
    final: int
    moves: dict[str, int]
    stays: dict[str, int]
    skips: int

    def step(self, state: int, char: str) -> int:
        moved = ((state & self.moves[char]) << 1) | (state & self.stays[char])
        return self.closed(moved)

    def closed(self, state: int) -> int:
        more = state | ((state & self.skips) << 1)
        while more != state:
            state, more = more, more | ((more & self.skips) << 1)
        return state


State = tuple[int, ...]


class Machine:
    """All of *globs* run side by side."""

    def __init__(self, globs: Sequence[Glob], extra: Iterable[str] = ()) -> None:
        named = {c for each in globs for c in each.symbols if isinstance(c, str)} | set(extra)
        for each in globs:
            if each.fold:
                named |= {v for c in each.symbols if isinstance(c, str) for v in _cases(c)}
            if _INSIDE.intersection(s for s in each.symbols if isinstance(s, Wild)):
                named.add(":")
        self.other = next((c for c in OTHERS if c not in named), "\x7f")
        self.alphabet = (self.other, *sorted(named))
        self._steps = tuple(_steps(each, self.alphabet) for each in globs)
        self.start: State = tuple(each.closed(each.start) for each in self._steps)
        self._finals = tuple(each.final for each in self._steps)
        self._memo: dict[tuple[State, str], State] = {}

    def step(self, state: State, char: str) -> State:
        """Return the state after one more character."""
        return tuple(
            each.step(s, char) if s else 0 for each, s in zip(self._steps, state, strict=True)
        )

    def run(self, text: str, state: State | None = None) -> State:
        """Return the state after *text*."""
        state = self.start if state is None else state
        for char in text:
            state = self.step(state, char if char in self.alphabet else self.other)
        return state

    def accepts(self, state: State) -> int:
        """Return as bits which patterns a text that ends here fits."""
        bits = 0
        for number, (mine, final) in enumerate(zip(state, self._finals, strict=True)):
            if mine & final:
                bits |= 1 << number
        return bits

    def reachable(
        self, start: State | None = None, limit: int = MAX_STATES
    ) -> tuple[dict[State, str], bool]:
        """Return every state with a shortest text that leads to it, and whether that is all."""
        start = self.start if start is None else start
        found = {start: ""}
        pending = deque([start])
        while pending:
            state = pending.popleft()
            text = found[state]
            for char in self.alphabet:
                after = self.step(state, char)
                if after not in found:
                    if len(found) >= limit:
                        return found, False
                    found[after] = text + char
                    pending.append(after)
        return found, True

    def words(self, states: Iterable[State], wanted: int) -> Iterator[str]:
        """Yield the texts of the class *wanted*, few letters after one another; maybe endlessly."""
        distance = self._distances(states, wanted)
        pending = [(self.start, "")] if self.start in distance else []
        while pending:
            state, text = pending.pop()
            if distance[state] == 0:
                yield text
            after = [(self.step(state, char), char) for char in self.alphabet]
            reaching = [(distance[s], s, c) for s, c in after if s in distance]
            reaching.sort(key=lambda each: -each[0])
            pending.extend((s, text + c) for _, s, c in reaching)

    def _distances(self, states: Iterable[State], wanted: int) -> dict[State, int]:
        before: dict[State, list[State]] = {}
        states = list(states)
        for state in states:
            for char in self.alphabet:
                before.setdefault(self.step(state, char), []).append(state)
        distance = {state: 0 for state in states if self.accepts(state) == wanted}
        pending = deque(distance)
        while pending:
            state = pending.popleft()
            for each in before.get(state, ()):
                if each not in distance:
                    distance[each] = distance[state] + 1
                    pending.append(each)
        return distance


def representatives(
    globs: Iterable[Glob], hints: Iterable[str] = (), universe: Glob | None = None
) -> tuple[list[str], bool]:
    """Return texts of *universe*, at least one of each class that *globs* tell apart.

    *hints* are tried first, for they read better than shortest texts. Also says whether the
    classes are all: there can be too many to walk through.
    """
    globs = tuple(dict.fromkeys(globs))
    literals = list(dict.fromkeys(t for each in globs if (t := each.plain) is not None))
    wild = [each for each in globs if each.plain is None]
    watched = [*wild, *([universe] if universe else [])]
    machine = Machine(watched)
    inside = 1 << len(wild) if universe else 0
    known = set(literals)
    found: dict[int, str] = {}
    for text in hints:
        if text not in known:
            found.setdefault(machine.accepts(machine.run(text)), text)
    states, complete = machine.reachable()
    for state, text in states.items():
        kind = machine.accepts(state)
        if kind in found or (inside and not kind & inside):
            continue
        if text in known:
            another = next((t for t in _few(machine.words(states, kind), known)), None)
            if another is None:
                continue
            text = another
        found[kind] = text
    texts = [text for kind, text in found.items() if not inside or kind & inside]
    mine = [t for t in literals if not inside or machine.accepts(machine.run(t)) & inside]
    return [*mine, *texts], complete


def _few(words: Iterator[str], known: set[str]) -> Iterator[str]:
    """Yield those of *words* that are not *known*; of more than all known, one is not."""
    for count, word in enumerate(words):
        if word not in known:
            yield word
            return
        if count > len(known):
            return


def _steps(pattern: Glob, alphabet: Sequence[str]) -> _Steps:
    moves, stays, skips = dict.fromkeys(alphabet, 0), dict.fromkeys(alphabet, 0), 0
    for position, symbol in enumerate(pattern.symbols):
        bit = 1 << position
        if isinstance(symbol, Wild):
            table = stays if symbol in _MANY else moves
            skips |= bit if symbol in _MANY else 0
            for char in alphabet:
                if symbol not in _INSIDE or char != ":":
                    table[char] |= bit
        else:
            for char in _cases(symbol) if pattern.fold else (symbol,):
                moves[char] |= bit
    return _Steps(1, 1 << len(pattern.symbols), moves, stays, skips)


def _cases(char: str) -> tuple[str, ...]:
    """Return the characters that are *char* in either case."""
    both = {char, char.lower(), char.upper()}
    return tuple(sorted(c for c in both if len(c) == 1 and c.lower() == char.lower()))
