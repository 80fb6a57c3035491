"""Ask the proof of what `lint --fix` writes: `python fuzz/lint_fixes.py [COUNT] [SEED]`.

Each mutated policy is fixed, and the result compared with what it was: nothing may be allowed that
was not, unless a grant was missing; what the corrected statements do not grant stays allowed; and
no statement matches nothing that matched something. These checks are written apart from those that
`--fix` makes of each correction. Ends with an error at the first policy that breaks one.
"""

from __future__ import annotations

import random
import sys
from collections import Counter
from dataclasses import replace
from typing import Final

from cml_iam.errors import DocumentError
from cml_iam.lint import fix_text
from cml_iam.policy import PolicyDocument, Statement, parse_policy
from cml_iam.prove import Policies, Shape, never, within
from fuzz.lint_mutants import mutant, parsed, policies

GRANTS: Final = frozenset({"CML106", "CML202", "CML302", "CML401"})
"""Rules whose finding can be that a grant is missing."""


def check(text: str) -> Counter[str]:
    """Hold the three conditions for all that is written into *text*; return the rules of it."""
    fixed = fix_text(text)
    applied = Counter(each.rule for each in fixed.applied)
    try:
        before = parse_policy(text)
    except DocumentError:
        return applied
    if not applied or not is_attachable(before):
        return applied
    after = parse_policy(fixed.text)
    corrected = {
        number
        for number, each in enumerate(after.statements)
        if before.statements[number : number + 1] != (each,) or before.version != after.version
    }
    if not applied.keys() & GRANTS:
        hold(within(one(after), one(before)).holds, text)
    kept = [
        statement
        for statement in before.statements
        if statement.effect == "Deny" or statement.index not in corrected
    ]
    hold(within(one(before, kept), one(after)).holds, text)
    for old, new in zip(before.statements, after.statements, strict=False):
        hold(is_matched(after, new) or not is_matched(before, old), text)
    return applied


def hold(condition: bool, text: str) -> None:
    """Raise AssertionError with the policy *text* unless *condition* holds."""
    if not condition:
        raise AssertionError(text)


def one(document: PolicyDocument, statements: list[Statement] | None = None) -> Policies:
    """Return *document* with *statements* only as a side of a question."""
    kept = document.statements if statements is None else tuple(statements)
    return Policies((replace(document, statements=kept),))


def is_matched(document: PolicyDocument, statement: Statement) -> bool:
    """Say whether a request is proved to match *statement*."""
    alone = replace(statement, effect="Allow")
    return never(one(document, [alone]), Shape()).answer == "broken"


def is_attachable(document: PolicyDocument) -> bool:
    """Say whether *document* can be attached to a principal."""
    return all(
        statement.principal is None
        and statement.not_principal is None
        and (statement.resource is not None or statement.not_resource is not None)
        for statement in document.statements
    )


def main() -> int:
    """Run; return the exit code."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    chance, seeds = random.Random(seed), parsed(policies())  # noqa: S311 - repeatable, not secret
    applied = sum((check(mutant(chance, seeds)) for _ in range(count)), Counter[str]())
    sys.stdout.write(f"{count} mutants, {applied.total()} corrections written, all proved safe\n")
    for rule, number in sorted(applied.items()):
        sys.stdout.write(f"  {rule}: {number}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
