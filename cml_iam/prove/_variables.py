"""Values for policy variables: one for each way in which what they stand for can fit patterns.

A variable stands between what comes before it in a pattern and what comes after. What comes
before leads every other pattern on the same key to one state; a value leads on from there. Two
values that lead to the same states, and to which the variable's own conditions answer alike, are
one to every test. That is exact where the text before the variable has no wildcard, and where two
patterns with the variable either share that text or part ways within it; elsewhere a question
that finds no witness stays undecided.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Final

from cml_iam.engine._variables import Token, Variable
from cml_iam.prove._globs import Glob, Machine
from cml_iam.reference import same_key

if TYPE_CHECKING:
    from cml_iam.prove._axes import Gathered

MAX_STATES: Final = 400
EXAMPLES: Final = ("example", "someone", "fresh-name", "q7")


def variable_hints(gathered: Gathered, key: str) -> tuple[list[str], bool]:
    """Return values for the variable *key*, and whether they are all that is needed."""
    users = [name for name, needed in gathered.needs.items() if key in needed]
    if not users:
        return [], True
    starts: list[tuple[Machine, int]] = []
    complete = True
    for user in users:
        patterns = list(_patterns(gathered, user))
        varying = [each for each in patterns if _has(each, key)]
        others = [each for each in patterns if any(isinstance(p, Variable) for p in each)]
        befores = [_before(each) for each in varying]
        known = list(dict.fromkeys(each for each in befores if each is not None))
        complete = complete and None not in befores and _apart(known)
        complete = complete and all(_has(each, key) for each in others)
        machine = Machine(_plain_globs(gathered, user))
        starts += [(machine, machine.run(before)) for before in known]
    own = Machine([g for each in gathered.conditions.get(key, ()) for g in each.globs({})])
    texts, all_there = _walk([(own, own.start), *starts])
    return texts, complete and all_there


def _patterns(gathered: Gathered, user: str) -> Iterator[tuple[Token, ...]]:
    yield from (each.parts for each in gathered.fields.get(user, ()))
    for each in gathered.conditions.get(user, ()):
        yield from each.parsed()


def _plain_globs(gathered: Gathered, user: str) -> list[Glob]:
    """Return the patterns of *user* without variables."""
    found = [g for each in gathered.conditions.get(user, ()) for g in each.globs({})]
    for each in gathered.fields.get(user, ()):
        plain = None if each.needs else each.glob({})
        found += [plain] if plain else []
    return found


def _has(parts: Iterable[Token], key: str) -> bool:
    return any(isinstance(p, Variable) and same_key(p.key) == key for p in parts)


def _before(parts: Sequence[Token]) -> str | None:
    """Return the text before the only variable of *parts*; None if it is not that simple."""
    variables = [p for p in parts if isinstance(p, Variable)]
    if len(variables) != 1:
        return None
    before = parts[: list(parts).index(variables[0])]
    return "".join(map(str, before)) if all(isinstance(p, str) for p in before) else None


def _apart(texts: Sequence[str]) -> bool:
    """Say whether none of *texts* is the beginning of another."""
    return not any(a != b and b.startswith(a) for a in texts for b in texts)


def _walk(starts: Sequence[tuple[Machine, int]]) -> tuple[list[str], bool]:
    """Return a text for each set of states that the machines can be led to together."""
    letters = sorted({char for machine, _ in starts for char in machine.alphabet})
    begin = tuple(state for _, state in starts)
    found = {begin: ""}
    pending = deque([begin])
    complete = True
    while pending and complete:
        here = pending.popleft()
        for char in letters:
            after = tuple(
                machine.run(char, state) for (machine, _), state in zip(starts, here, strict=True)
            )
            if after not in found:
                complete = len(found) < MAX_STATES
                found[after] = found[here] + char
                pending.append(after)
    kinds = {
        (starts[0][0].accepts(each[0]), *each[1:]): text
        for each, text in sorted(found.items(), key=lambda item: -len(item[1]))
    }
    for example in EXAMPLES:
        end = tuple(machine.run(example, state) for machine, state in starts)
        kinds[starts[0][0].accepts(end[0]), *end[1:]] = example
    return sorted(kinds.values(), key=lambda text: text not in EXAMPLES), complete
