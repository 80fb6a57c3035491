"""Ask a solver of strings the questions that the proof answers, and compare.

    python fuzz/proof_smt.py z3|cvc5 [PAIRS] [SEED]

For development only: `pip install z3-solver cvc5` into an environment of its own, never a
dependency. Random pairs of policies with conditions on texts and numbers become formulas: what the
candidate allows and the reference does not. Where the solver answers within five seconds it must
agree. Exits 1 if it does not.
"""

from __future__ import annotations

import importlib
import sys
import time
from collections import Counter
from random import Random
from statistics import median
from typing import Any

from cml_iam.policy import load_policy
from cml_iam.prove import Policies, within

Json = dict[str, Any]
KEYS = ["my:a", "my:b", "my:c"]
EXACT = ["", "a", "ab", "b", "abc", "A", "aa", "ba"]
PATTERNS = ["*", "?*", "a*", "*b", "a?", "*a*", "a*c", "??", "ab*", "*ab", "a*a", "?a*", ""]
NUMBERS = ["0", "1", "5", "10", "10.5", "-1"]
LIMIT_MS = 5_000


def condition(random: Random) -> tuple[str, str, list[str]]:
    """Return a random condition: operator, key, values."""
    roll = random.random()
    if roll < 0.1:
        return "Null", random.choice([*KEYS, "my:n"]), [random.choice(["true", "false"])]
    if roll < 0.3:
        names = ["LessThan", "LessThanEquals", "GreaterThan", "GreaterThanEquals", "Equals"]
        return f"Numeric{random.choice(names)}", "my:n", random.sample(NUMBERS, 1)
    operator = random.choice(["StringEquals", "StringNotEquals", "StringLike", "StringNotLike"])
    values = PATTERNS if operator.endswith("Like") else EXACT
    suffix = "IfExists" if random.random() < 0.15 else ""
    return operator + suffix, random.choice(KEYS), random.sample(values, random.randint(1, 3))


def policy(random: Random) -> Json:
    """Return a random policy of up to five statements."""
    statements = []
    for _ in range(random.randint(1, 5)):
        conditions: Json = {}
        for _ in range(random.randint(0, 3)):
            operator, key, values = condition(random)
            conditions.setdefault(operator, {})[key] = values
        statements.append(
            {
                "Effect": "Allow" if random.random() < 0.75 else "Deny",
                "Action": "my:Thing",
                "Resource": "*",
                "Condition": conditions,
            }
        )
    return {"Version": "2012-10-17", "Statement": statements}


class Encoder:
    """Makes formulas of policies with one solver's Python names, which both share."""

    def __init__(self, smt: Any) -> None:
        self.smt = smt
        self.text = {key: smt.String(key) for key in KEYS}
        self.number = smt.Real("my:n")
        self.present = {key: smt.Bool(f"has {key}") for key in [*KEYS, "my:n"]}
        # Characters are from the space to the tilde, as where the proof says so.
        letter = smt.Range(" ", "~")
        self.any, self.letter = smt.Star(letter), letter
        self.world = [smt.InRe(text, self.any) for text in self.text.values()]

    def allowed(self, document: Json) -> Any:
        """Return the formula of what *document* allows."""
        smt, said = self.smt, document["Statement"]
        allows = [self._matches(each) for each in said if each["Effect"] == "Allow"]
        denies = [self._matches(each) for each in said if each["Effect"] == "Deny"]
        yes, no = smt.BoolVal(True), smt.BoolVal(False)
        return smt.And(smt.Or(no, no, *allows), smt.Not(smt.Or(no, no, *denies)), yes)

    def _matches(self, statement: Json) -> Any:
        yes = self.smt.BoolVal(True)
        made = [
            self._condition(operator, key, values)
            for operator, block in statement["Condition"].items()
            for key, values in block.items()
        ]
        return self.smt.And(yes, yes, *made)

    def _condition(self, operator: str, key: str, values: list[str]) -> Any:
        smt, present = self.smt, self.present[key]
        if operator == "Null":
            return smt.Not(present) if values == ["true"] else present
        base = operator.removesuffix("IfExists")
        negated = "Not" in base
        one = [self._value(base.replace("Not", ""), key, value) for value in values]
        no = smt.BoolVal(False)
        any_of = smt.Or(no, no, *one)
        holds = smt.Not(any_of) if negated else any_of
        if negated or operator != base:
            return smt.Or(smt.Not(present), holds)
        return smt.And(present, holds)

    def _value(self, base: str, key: str, value: str) -> Any:
        if base.startswith("Numeric"):
            return self._bound(base.removeprefix("Numeric"), self.smt.RealVal(value))
        if base == "StringEquals":
            return self.text[key] == self.smt.StringVal(value)
        return self.smt.InRe(self.text[key], self._pattern(value))

    def _bound(self, name: str, bound: Any) -> Any:
        return {
            "LessThan": self.number < bound,
            "LessThanEquals": self.number <= bound,
            "GreaterThan": self.number > bound,
            "GreaterThanEquals": self.number >= bound,
            "Equals": self.number == bound,
        }[name]

    def _pattern(self, text: str) -> Any:
        smt = self.smt
        parts = [
            self.any if c == "*" else self.letter if c == "?" else smt.Re(smt.StringVal(c))
            for c in text
        ]
        if not parts:
            return smt.Re(smt.StringVal(""))
        return parts[0] if len(parts) == 1 else smt.Concat(*parts)


def asked(smt: Any, candidate: Json, reference: Json) -> str:
    """Return `holds`, `broken` or `unknown`, as the solver says."""
    encoder = Encoder(smt)
    solver = smt.Solver()
    if hasattr(smt, "Z3_mk_solver"):
        solver.set("timeout", LIMIT_MS)
    else:
        solver.setOption("tlimit-per", LIMIT_MS)
        solver.setOption("strings-exp", "true")
    solver.add(*encoder.world, encoder.allowed(candidate))
    solver.add(smt.Not(encoder.allowed(reference)))
    return {"sat": "broken", "unsat": "holds"}.get(str(solver.check()), "unknown")


def main(name: str, pairs: int = 500, seed: int = 1) -> int:
    """Compare *pairs* answers; return 1 if the solver and the proof differ."""
    smt = importlib.import_module("z3" if name == "z3" else "cvc5.pythonic")
    counts, times = Counter[str](), []
    for number in range(pairs):
        random = Random(f"{seed}/{number}")  # noqa: S311 - repeatable
        candidate, reference = policy(random), policy(random)
        if random.random() < 0.5:
            reference["Statement"] += candidate["Statement"][:-1]
        sides = [Policies(identity=(load_policy(each),)) for each in (candidate, reference)]
        ours = within(sides[0], sides[1])
        malformed = any(assumption.kind == "typed" for assumption in ours.assumptions)
        start = time.process_time()
        theirs = asked(smt, candidate, reference)
        times.append((time.process_time() - start) * 1e3)
        differ = theirs not in ("unknown", ours.answer)
        told = _is_no_number(ours) if differ else malformed
        counts["differ" if differ and not told else theirs] += 1
        if differ and not told:
            sys.stdout.write(f"{seed}/{number}: {name} {theirs}, ours {ours}\n{sides}\n")
    sys.stdout.write(f"{name}: {pairs} pairs, {dict(counts)}, median {median(times):.1f} ms\n")
    return 1 if counts["differ"] else 0


def _is_no_number(verdict: Any) -> bool:
    """Say whether the witness has a text for the number, which the formulas do not know."""
    if verdict.witness is None:
        return False
    value = verdict.witness.request.context.get("my:n")
    return value is not None and not value.lstrip("+-").replace(".", "", 1).isdigit()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], *map(int, sys.argv[2:])))
