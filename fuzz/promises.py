"""Prove the promises of sites at random, and tell every mutant of a policy from its original.

    python fuzz/promises.py [SITES]

Prints what was proved and exits with 1 where a promise of a rendered policy does not hold, or a
mutant of the policy of a site with every option is neither told from it nor proved to be the same.
"""

from __future__ import annotations

import sys
import time
from collections import Counter

from cml_iam.policy import parse_policy
from cml_iam.prove import Policies, equivalent, prove_site
from cml_iam.render import render_document, render_parts, render_policy
from cml_iam.site import Site
from tests.expectations.mutants import mutants
from tests.expectations.test_expectations import EVERYTHING
from tests.render.random_sites import random_site

ALLOWED = parse_policy(
    '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}'
)
BASE = render_policy(None, "base").document


def say(line: str) -> None:
    """Write a line as soon as it is known."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> int:
    """Run both; return the exit code."""
    sites = int(sys.argv[1]) if sys.argv[1:] else 200
    bad = _sites(sites) + _mutants()
    return 1 if bad else 0


def _sites(count: int) -> int:
    answers: Counter[str] = Counter()
    times = []
    for seed in range(count):
        site = random_site(seed)
        documents = tuple(part.document for part in render_parts(site))
        forms = {
            "hardened": Policies(documents),
            "boundary beside base": Policies((BASE,), documents) if not documents[1:] else None,
            "guard beside AdministratorAccess": _guarded(site),
        }
        for form, policies in forms.items():
            if policies is None:
                continue
            started = time.process_time()
            proofs = prove_site(site, policies, remedies=False)
            times.append(time.process_time() - started)
            for proof in proofs:
                answers[proof.answer] += 1
                if proof.answer != "holds":
                    calls = [call.request for call in proof.calls]
                    say(f"site {seed}, {form}: {proof.promise.id} {proof.answer} {calls}")
    times.sort()
    say(
        f"{count} sites, {len(times)} sets of promises: {dict(answers)};"
        f" median {times[len(times) // 2] * 1000:.0f} ms of CPU, most {times[-1] * 1000:.0f} ms"
    )
    return sum(answers.values()) - answers["holds"]


def _guarded(site: Site) -> Policies | None:
    if not site.restrict.active:
        return None
    return Policies((ALLOWED, render_document(site, "guard").document))


def _mutants() -> int:
    rendered = render_policy(EVERYTHING)
    original = Policies((rendered.document,))
    answers: Counter[str] = Counter()
    for mutant in mutants(rendered.text):
        verdict = equivalent(Policies((mutant.document,)), original)
        answers[verdict.answer] += 1
        if verdict.answer != "broken":
            say(f"{mutant.name}: {verdict.answer} {verdict.reason}")
    say(f"mutants of a policy with every option: {dict(answers)}")
    return answers["undecided"]


if __name__ == "__main__":
    sys.exit(main())
