"""The promises of the site, proved of the policy in force over all requests there can be."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from cml_iam.audit._asking import Question
from cml_iam.audit._part import Part, ask_of, found
from cml_iam.audit._report import Check, Spot

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cml_iam.audit._principal import Seen
    from cml_iam.audit._report import AuditFinding
    from cml_iam.policy import PolicyDocument
    from cml_iam.prove import Policies, Proof
    from cml_iam.site import Site

PROMISES_TITLE: Final = "What the site promises holds for every request there can be"
PROMISES: Final = "promises"
PROOF: Final = Question("proof", PROMISES_TITLE, "permissions")


def promises(site: Site, documents: Sequence[PolicyDocument], name: str, *, told: bool) -> Part:
    """Prove what the restrictions of *site* promise of *documents*, the first of them *name*.

    *told* says that something else in the report tells already what is wrong with them: a broken
    promise is then no fault of its own, and the check alone says how many there are.
    """
    from cml_iam.prove import Policies

    check = Check(PROMISES, PROMISES_TITLE, "permissions", "passed")
    return _proved(site, Policies(tuple(documents)), check, name, told=told)


def promises_held(site: Site, seen: Seen, account: str, *, told: bool) -> Part:
    """Prove the same of everything that the principal of the account holds, in its boundary."""
    from cml_iam.prove import Policies

    boundary = seen.holder.boundary
    held = Policies(
        tuple(each.document for each in seen.all), (boundary.document,) if boundary else None
    )
    return _proved(site, held, PROOF.passed(account, 0, ""), seen.holder.arn, told=told)


def _proved(site: Site, policies: Policies, asked: Check, name: str, *, told: bool) -> Part:
    """Return the check *asked*, made of *policies*: of the file *name*, or the principal's."""
    from cml_iam.prove import prove_site

    proofs = prove_site(site, policies, remedies=False)
    broken = [each for each in proofs if each.answer == "broken"]
    unsure = [each for each in proofs if each.answer == "undecided"]
    asked = replace(asked, asked=len(proofs))
    if unsure and not broken:
        reason = f"{unsure[0].promise.title}: {unsure[0].reason}"
        remedy = "see `cml-iam policy prove`; simpler conditions can be decided"
        check = replace(asked, state="not checked", detail="", reason=reason, remedy=remedy)
        return Part(checks=(check,))
    count = f"{len(broken)} of {len(proofs)} broken" if broken else f"{len(proofs)} proved"
    check = replace(asked, state="failed" if broken else "passed", detail=count)
    spot = Spot(resource=name, account=asked.account) if asked.account else Spot(file=name)
    findings = () if told else tuple(_finding(each, spot, asked.id) for each in broken)
    return Part(checks=(check,), findings=findings)


def _finding(proof: Proof, spot: Spot, check: str) -> AuditFinding:
    labels = [r.label for each in proof.calls for r in each.candidate.statements]
    by = f", by {', '.join(dict.fromkeys(labels))}" if labels else ""
    return found(
        "CML717",
        f"it can be that this does not hold{by}: {proof.promise.title}",
        spot,
        check,
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
