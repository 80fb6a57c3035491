"""The promises of the site, proved of the policy in force over all requests there can be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from cml_iam.audit._part import Part, ask_of, found
from cml_iam.audit._report import Check, Spot

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cml_iam.audit._report import AuditFinding
    from cml_iam.policy import PolicyDocument
    from cml_iam.prove import Proof
    from cml_iam.site import Site

PROMISES: Final = "promises"


def promises(site: Site, documents: Sequence[PolicyDocument], name: str, *, told: bool) -> Part:
    """Prove what the restrictions of *site* promise of *documents*, the first of them *name*.

    *told* says that something else in the report tells already what is wrong with them: a broken
    promise is then no fault of its own, and the check alone says how many there are.
    """
    from cml_iam.prove import Policies, prove_site

    proofs = prove_site(site, Policies(tuple(documents)), remedies=False)
    broken = [each for each in proofs if each.answer == "broken"]
    unsure = [each for each in proofs if each.answer == "undecided"]
    title = "What the site promises holds for every request, and in any number of steps"
    count = f"{len(proofs)} proved" if not broken else f"{len(broken)} of {len(proofs)} broken"
    if unsure and not broken:
        reason = f"{unsure[0].promise.title}: {unsure[0].reason}"
        remedy = "see `cml-iam policy prove`; simpler conditions can be decided"
        check = Check(
            PROMISES, title, "permissions", "not checked", len(proofs), "", reason, remedy
        )
        return Part(checks=(check,))
    state: Literal["passed", "failed"] = "failed" if broken else "passed"
    findings = () if told else tuple(_finding(each, name) for each in broken)
    check = Check(PROMISES, title, "permissions", state, len(proofs), count)
    return Part(checks=(check,), findings=findings)


def _finding(proof: Proof, name: str) -> AuditFinding:
    labels = [r.label for each in proof.calls for r in each.candidate.statements]
    by = f", by {', '.join(dict.fromkeys(labels))}" if labels else ""
    return found(
        "CML717",
        f"it can be that this does not hold{by}: {proof.promise.title}",
        Spot(file=name),
        PROMISES,
        about=proof.promise.id,
        witness=tuple(
            ask_of(
                each.request,
                each.candidate.outcome,
                tuple(reason.label for reason in each.candidate.statements),
            )
            for each in proof.calls
        ),
    )
