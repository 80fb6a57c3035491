"""What befalls a call by the conditions of the sandbox: refused, late, or its answer lost."""

from __future__ import annotations

from dataclasses import replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from cml_iam.sandbox._faults import Fault

if TYPE_CHECKING:
    from collections.abc import Callable

    from cml_iam.sandbox._conditions import Refusal
    from cml_iam.sandbox._wire import Answer
    from cml_iam.sandbox._world import World


def suffer(
    world: World, action: str, do: Callable[[], Answer], failed: Callable[[Fault], Answer]
) -> Answer:
    """Answer a call of *action* by *do*, or with what befalls it; *failed* writes a fault."""
    befalls = _befalling(world, action)
    try:
        for each in befalls:
            if each.code:
                raise Fault(each.code, each.message, each.status)
        answer = do()
    except Fault as fault:
        answer = failed(fault)
    seconds = sum(each.seconds for each in befalls)
    return replace(answer, lost=any(each.lost for each in befalls), seconds=seconds)


def _befalling(world: World, action: str) -> list[Refusal]:
    """Return what befalls this call of *action*, and count it."""
    found = []
    for number, each in enumerate(world.conditions.refuse):
        if fnmatchcase(action, each.operation):
            if each.befalls(action, world.befallen[number]):
                found.append(each)
            world.befallen[number] += 1
    return found
