"""Hold what lint claims against the proof: `python fuzz/lint_claims.py [COUNT] [SEED]`.

Each policy, random or mutated, is linted. What a finding claims of all requests ("grants nothing",
"restricts nothing", "already allows", "no instance can be launched") is asked of the proof again.
Prints how many claims of each rule were held, and how many statements match no request by the
proof, with and without a finding; ends with an error at the first policy that breaks a claim.
"""

from __future__ import annotations

import json
import random
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Final

from cml_iam.errors import DocumentError
from cml_iam.lint import Finding, lint_text
from cml_iam.policy import PolicyDocument, Statement, parse_policy
from cml_iam.prove import Policies, Shape, Verdict, never, within
from fuzz.lint_fixes import hold, is_attachable
from fuzz.lint_mutants import mutant, parsed, policies
from fuzz.proof import policy

MATCHES_NOTHING: Final = frozenset(
    {"CML201", "CML202", "CML203", "CML204", "CML206", "CML302", "CML303", "CML304", "CML306"}
)
"""Rules that say why a statement can never match; one of them must."""

UNSAID: Final = "matches nothing, and no rule says so"

Claim = Callable[[PolicyDocument, Statement, Finding], bool]


def check(text: str) -> Counter[str]:
    """Hold every claim about the policy *text*; return how many there were of each rule."""
    try:
        document = parse_policy(text, "p")
    except DocumentError:
        return Counter()
    labels = Counter(statement.label for statement in document.statements)
    if not is_attachable(document) or max(labels.values()) > 1:
        return Counter()
    statements = {statement.label: statement for statement in document.statements}
    findings = lint_text(text, "p")
    held: Counter[str] = Counter()
    for finding in findings:
        claim = CLAIMS.get(finding.rule)
        if claim and finding.statement and not hedged(finding):
            about = statements[finding.statement]
            hold(claim(document, about, finding), f"{finding.rule} {finding.message}\n{text}")
            held[finding.rule] += 1
    told = {each.statement for each in findings if each.rule in MATCHES_NOTHING}
    for statement in document.statements:
        if never(one(document, statement), Shape()).holds:
            held["matches nothing" if statement.label in told else UNSAID] += 1
    return held


def hedged(finding: Finding) -> bool:
    """Say whether the finding is about what AWS's reference lists, not about all requests."""
    return "lists no condition key" in finding.message or "always holds" in finding.message


def one(document: PolicyDocument, *statements: Statement, action: str | None = None) -> Policies:
    """Return *statements* alone, as Allows, and for *action* if it is given."""
    kept = [replace(statement, effect="Allow") for statement in statements]
    if action is not None:
        kept = [replace(each, action=(action,), not_action=None) for each in kept]
    return Policies((replace(document, statements=tuple(kept)),))


def named(finding: Finding, statement: Statement) -> Iterator[str]:
    """Yield the elements of Action that *finding* is about: those in it, or all."""
    quoted = re.findall(r"`([^`]+)`", finding.message)
    found = [each for each in statement.action or () if each in quoted]
    yield from found or statement.action or ()


def stands(verdict: Verdict) -> bool:
    """Say whether a claim stands: no request breaks it. The proof of a whole may be undecided."""
    return verdict.answer != "broken"


def never_matches(document: PolicyDocument, statement: Statement, finding: Finding) -> bool:
    """Say whether no request matches."""
    if "can never match" in finding.message or "no request can meet" in finding.message:
        return stands(never(one(document, statement), Shape()))
    return all(
        stands(never(one(document, statement, action=each), Shape()))
        for each in named(finding, statement)
        if f"`{each}`" in finding.message
    )


def is_within_others(document: PolicyDocument, statement: Statement, finding: Finding) -> bool:
    """Say whether the other statements allow what *statement* does."""
    if re.search(r"restricts nothing in `", finding.message):
        return True  # said of some regions only
    denies = [each for each in document.statements if each.effect == "Deny"]
    others = [each for each in document.statements if each is not statement]
    for action in named(finding, statement):
        mine = [replace(statement, action=(action,)), *denies]
        sides = (replace(document, statements=tuple(each)) for each in (mine, others))
        narrow, wide = (Policies((side,)) for side in sides)
        if not stands(within(narrow, wide)):
            return False
    return True


def is_refused(document: PolicyDocument, statement: Statement, finding: Finding) -> bool:
    """Say whether nothing is allowed because of *statement*."""
    denies = [each for each in document.statements if each.effect == "Deny"]
    for action in named(finding, statement):
        mine = (replace(statement, action=(action,)), *denies)
        if not stands(never(Policies((replace(document, statements=mine),)), Shape())):
            return False
    return True


def launches_nothing(document: PolicyDocument, _: Statement, finding: Finding) -> bool:
    """Say whether RunInstances is allowed on none of a type that is named."""
    types = re.findall(r"`([a-z-]+)`", finding.message)
    account = "*" if types[0] != "image" else ""
    shape = Shape(("ec2:RunInstances",), (f"arn:*:ec2:*:{account}:{types[0]}/*",))
    return stands(never(Policies((document,)), shape))


CLAIMS: Final[dict[str, Claim]] = {
    "CML302": never_matches,
    "CML303": never_matches,
    "CML304": never_matches,
    "CML306": never_matches,
    "CML301": is_within_others,
    "CML305": is_within_others,
    "CML307": is_refused,
    "CML401": launches_nothing,
}


def texts(chance: random.Random, count: int) -> Iterator[str]:
    """Yield *count* policies: half of them mutants of the rules' examples, half random."""
    seeds: list[Any] = parsed(policies())
    for number in range(count):
        yield mutant(chance, seeds) if number % 2 else json.dumps(policy(chance, principals=False))


def main() -> int:
    """Run; return the exit code."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    chance = random.Random(int(sys.argv[2]) if len(sys.argv) > 2 else 1)  # noqa: S311 - repeatable
    held = sum(map(check, texts(chance, count)), Counter[str]())
    sys.stdout.write(
        f"{count} policies, {sum(held[claim] for claim in CLAIMS)} claims held by the proof\n"
    )
    for rule, number in sorted(held.items()):
        sys.stdout.write(f"  {rule}: {number}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
