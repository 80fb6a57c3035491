"""Ask verify, prove, diff, lint and explain about the same policies; none may contradict another.

    python fuzz/contradictions.py [SITES] [PAIRS] [SEED]

Mutants of the rendered policies of SITES sites are asked the site's expectations and promises, and
compared with their originals; PAIRS random pairs are compared. Prints what was asked, and exits
with 1 at a contradiction.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from random import Random

from proof import random_pair

from cml_iam.check.verify import verify_offline
from cml_iam.engine import Request, compile_policies
from cml_iam.errors import InputError
from cml_iam.expectations import derive_expectations
from cml_iam.facts import sent_context
from cml_iam.lint import Finding, lint_policies
from cml_iam.policy import PolicyDocument, load_policy
from cml_iam.prove import (
    Comparison,
    Policies,
    Proof,
    Verdict,
    Witness,
    differences,
    never,
    prove_site,
    within,
)
from cml_iam.render import render_parts
from cml_iam.site import Site
from cml_iam.space import Shape
from tests.expectations.mutants import Mutant, mutants
from tests.render.random_sites import random_site

MOST_CONTRADICTIONS = 20
NEVER_MATCHES = "the statement can never match"
"""What lint says of a statement that no request matches."""

HEDGED = "if that is all"
"""What lint says where it rests on the reference listing everything, which the proof does not."""


def main() -> int:
    """Run all; return the exit code."""
    sites, pairs, seed = (*map(int, sys.argv[1:]), *(20, 1500, 1)[len(sys.argv) - 1 :])
    asked: Counter[str] = Counter()
    contradictions: list[str] = []
    for text in (*of_sites(sites, asked), *of_pairs(pairs, seed, asked)):
        contradictions.append(text)
        sys.stdout.write(f"{text}\n")
        if len(contradictions) == MOST_CONTRADICTIONS:
            break
    for what, times in sorted(asked.items()):
        sys.stdout.write(f"{times:8} {what}\n")
    sys.stdout.write(f"{len(contradictions)} contradictions\n")
    return 1 if contradictions else 0


def of_sites(count: int, asked: Counter[str], most: int | None = None) -> Iterator[str]:
    """Yield every contradiction about mutants of the policies of *count* sites."""
    for seed in range(count):
        site = random_site(seed)
        rendered = render_parts(site)
        if len(rendered) > 1:
            continue
        original = rendered[0].document
        for number, mutant in enumerate(mutants(rendered[0].text)):
            if most is not None and number >= most:
                break
            where = f"site {seed}, {mutant.name}"
            yield from (f"{where}: {text}" for text in of_mutant(site, original, mutant, asked))


def of_mutant(
    site: Site, original: PolicyDocument, mutant: Mutant, asked: Counter[str]
) -> Iterator[str]:
    """Yield the contradictions about one mutant of a site's policy."""
    proofs = prove_site(site, Policies((mutant.document,)), remedies=False)
    asked["mutants"] += 1
    yield from verify_and_prove(site, mutant.document, proofs, asked)
    yield from diff_and_prove(original, mutant.document, asked)
    yield from lint_and_prove(mutant.document, asked)
    for proof in proofs:
        for witness in proof.calls:
            yield from explained(mutant.document, witness, asked)


def of_pairs(count: int, seed: int, asked: Counter[str]) -> Iterator[str]:
    """Yield every contradiction about *count* random pairs of policies."""
    for number in range(count):
        pair = random_pair(Random(f"{seed}/{number}"), principals=False)  # noqa: S311 - repeatable
        asked["pairs"] += 1
        old, new = (load_policy(each, f"pair {seed}/{number}") for each in pair)
        for text in of_pair(old, new, asked):
            yield f"pair {seed}/{number}: {text}"


def of_pair(old: PolicyDocument, new: PolicyDocument, asked: Counter[str]) -> Iterator[str]:
    """Yield the contradictions about one pair of identity policies."""
    yield from diff_and_prove(old, new, asked)
    for document in (old, new):
        yield from lint_and_prove(document, asked)


def verify_and_prove(
    site: Site, document: PolicyDocument, proofs: Iterable[Proof], asked: Counter[str]
) -> Iterator[str]:
    """Yield what verify finds allowed, and should not be, where no promise is broken by it."""
    broken = [proof.promise.id for proof in proofs if proof.answer == "broken"]
    expectations = derive_expectations(site)
    asked["expectations"] += len(expectations)
    for judgement in verify_offline(expectations, [document]).failed:
        asked["expectations that fail"] += 1
        if judgement.expectation.expected == "refused" and not broken:
            yield f"verify refuses it by {judgement.expectation.id}, and no promise is broken"


def diff_and_prove(old: PolicyDocument, new: PolicyDocument, asked: Counter[str]) -> Iterator[str]:
    """Yield where the differences are not those of the proof, or not those of the engine."""
    before, after = Policies((old,)), Policies((new,))
    comparison = differences(before, after)
    asked["comparisons"] += 1
    if not comparison.beside_everything:
        yield from _direction(comparison, "newly allowed", within(after, before))
        yield from _direction(comparison, "newly denied", within(before, after))
    engines = _engines(old, new, beside=comparison.beside_everything)
    for difference in comparison.differences:
        asked["differences"] += 1
        outcomes = tuple(engine.decide(difference.witness).outcome for engine in engines)
        if outcomes != (difference.old.outcome, difference.new.outcome):
            yield f"diff shows {difference.witness} as {difference.change}; engine: {outcomes}"


def _direction(comparison: Comparison, change: str, verdict: Verdict) -> Iterator[str]:
    shown = any(difference.change == change for difference in comparison.differences)
    if shown and verdict.answer == "holds":
        yield f"diff shows something {change}, and the proof holds that there is nothing"
    if not shown and verdict.answer == "broken":
        yield f"diff shows nothing {change}, and the proof has {_request(verdict)}"


def _engines(old: PolicyDocument, new: PolicyDocument, *, beside: bool) -> list:
    everything = [{"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}]
    extra = everything if beside else []
    return [compile_policies([document, *extra]) for document in (old, new)]


def lint_and_prove(document: PolicyDocument, asked: Counter[str]) -> Iterator[str]:
    """Yield where lint says that a statement never matches and it does; and wrong witnesses."""
    engine = compile_policies([document])
    for finding in lint_policies([document], kind="identity"):
        asked["findings"] += 1
        for step in finding.witness:
            asked["lint's witnesses"] += 1
            outcome = engine.decide(step.request).outcome
            if outcome != step.outcome:
                yield f"{finding.rule} shows {step.request} as {step.outcome}; engine: {outcome}"
        if NEVER_MATCHES in finding.message and HEDGED not in finding.message:
            yield from _never_matches(document, finding, asked)


def _never_matches(
    document: PolicyDocument, finding: Finding, asked: Counter[str]
) -> Iterator[str]:
    statements = [each for each in document.statements if each.label == finding.statement]
    for statement in statements:
        if statement.effect != "Allow" or len(statements) > 1:
            continue
        asked["statements that never match"] += 1
        alone = PolicyDocument((statement,), document.version, name=document.name)
        verdict = never(Policies((alone,)), Shape())
        if verdict.answer == "broken":
            yield f"{finding.rule} {finding.message}; the proof has {_request(verdict)}"


def _request(verdict: Verdict) -> Request | None:
    return verdict.witness.request if verdict.witness else None


def explained(document: PolicyDocument, witness: Witness, asked: Counter[str]) -> Iterator[str]:
    """Yield where explain refuses the witness as no request of AWS, or decides it otherwise."""
    request = witness.request
    asked["witnesses explained"] += 1
    try:
        context = sent_context(request.action, request.resource, request.context)
    except InputError as error:
        yield f"explain refuses the witness {request}: {error}"
        return
    sent = Request(request.action, request.resource, request.principal, context)
    outcome = compile_policies([document]).explain(sent).outcome
    if outcome != witness.candidate.outcome:
        yield f"explain: {outcome}, the proof: {witness.candidate.outcome}, of {sent}"


if __name__ == "__main__":
    sys.exit(main())
