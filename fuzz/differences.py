"""Compare random pairs of policies, and try to prove what `policy diff` says of them wrong.

    python fuzz/differences.py [PAIRS] [SEED] [DRAWS]

The pairs are those of `fuzz/proof.py`. Both directions must come out as `within` answers them, each
difference is decided again by engines compiled here, and what is said to have no change must
survive DRAWS requests. Prints the CPU time of a comparison. Exits 1 on a fault.
"""

from __future__ import annotations

import json
import sys
import time
from random import Random

import proof
from attack import attack

from cml_iam.engine import Outcome, Request, compile_policies
from cml_iam.policy import load_policy
from cml_iam.prove import CHANGES, Comparison, Policies, Verdict, differences, within

Json = proof.Json
TIMES: list[float] = []
EVERYTHING = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}],
}


class Judge:
    """The engine on one side."""

    def __init__(self, document: Json, *, principals: bool, beside: bool) -> None:
        self._principals = principals
        loaded = load_policy(document)
        policies = [loaded, *([load_policy(EVERYTHING)] if beside else [])]
        self._engine = (
            compile_policies(resource=loaded) if principals else compile_policies(policies)
        )

    def outcome(self, request: Request) -> Outcome:
        """Decide *request*; a resource's policy by what it says to the caller."""
        if not self._principals:
            return self._engine.decide(request).outcome
        effects = {each.statement.effect for _, each in self._engine.matched(request)}
        if "Deny" in effects:
            return "explicitDeny"
        return "allowed" if effects else "implicitDeny"


def kind_of(old: Outcome, new: Outcome) -> str | None:
    """Say in words of the comparison what became of a request."""
    if old == new:
        return None
    if "allowed" in (old, new):
        return "newly allowed" if new == "allowed" else "newly denied"
    return "newly denied explicitly" if new == "explicitDeny" else "no longer denied explicitly"


def contradiction(found: Comparison, old: Policies, new: Policies) -> str:
    """Say where *found* is at odds with itself, or with `within`; empty if nowhere."""
    answers = {"newly allowed": within(new, old), "newly denied": within(old, new)}
    for change in CHANGES:
        verdict = found.verdicts.get(change, Verdict("holds"))
        shown = bool(found.of(change))
        if shown != (verdict.answer == "broken") and verdict.answer != "undecided":
            return f"{change}: {verdict.answer}, and {len(found.of(change))} differences"
        if change in answers and not found.beside_everything:
            asked = answers[change]
            if (asked.answer, asked.colon) != (verdict.answer, verdict.colon):
                return f"{change}: {verdict.answer}, and within: {asked.answer}"
    return ""


def judge(random: Random, draws: int) -> tuple[list[str], str]:
    """Compare one pair and try to refute what is said; return the answers and the fault."""
    principals = random.random() < 0.15
    old = proof.policy(random, principals=principals)
    new = (
        proof.mutant(random, old, principals=principals)
        if random.random() < 0.7
        else proof.policy(random, principals=principals)
    )
    told = json.dumps({"old": old, "new": new})
    sides = [proof.side(each, principals=principals) for each in (old, new)]
    start = time.process_time()
    found = differences(*sides)
    TIMES.append(time.process_time() - start)
    fault = contradiction(found, *sides)
    if fault:
        return [found.verdict], f"{fault}: {told}"
    before, after = (
        Judge(each, principals=principals, beside=found.beside_everything) for each in (old, new)
    )
    for difference in found.differences:
        outcomes = before.outcome(difference.witness), after.outcome(difference.witness)
        if (difference.old.outcome, difference.new.outcome) != outcomes or kind_of(
            *outcomes
        ) != difference.change:
            return [
                found.verdict
            ], f"not confirmed: {difference.change} {difference.witness}: {told}"
    excluded = {change for change in CHANGES if found.verdicts.get(change, HOLDS).holds}
    assumptions = [a for verdict in found.verdicts.values() for a in verdict.assumptions]
    drawer = proof.Drawer(random, (old, new), Verdict("holds", assumptions=tuple(assumptions)))
    for drawn in drawer.requests(draws):
        change = kind_of(before.outcome(drawn), after.outcome(drawn))
        if change in excluded:
            return [found.verdict], f"{change}, refuted by {drawn}: {told}"
    capped = ["more than these"] if found.more else []
    return [found.verdict, *capped, *(f"undecided: {each}" for each in found.undecided)], ""


HOLDS = Verdict("holds")


def main(pairs: int = 1000, seed: int = 1, draws: int = 300) -> int:
    """Judge *pairs*; return 1 if anything was wrong."""
    code = attack(lambda random: judge(random, draws), pairs, seed, "comparisons")
    times = sorted(TIMES)
    half, most = (times[len(times) * n // 100] * 1e3 for n in (50, 99))
    longest = times[-1] * 1e3
    sys.stdout.write(f"CPU: median {half:.0f} ms, 99 % within {most:.0f}, longest {longest:.0f}\n")
    return code


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
