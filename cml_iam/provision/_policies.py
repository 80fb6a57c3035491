"""Plan the steps for a site's managed policies: the parts of its policy, guardrail, boundary."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from cml_iam.errors import DeniedError, NotFoundError, Problem
from cml_iam.policy import difference, document_lines, load_policy, policy_size, same_meaning
from cml_iam.principal import NAME
from cml_iam.provision._plan import Call, Draft, Step
from cml_iam.provision._steps import (
    desired_tags,
    ours,
    read_holders,
    read_tags,
    read_versions,
    tag_lines,
    tag_pairs,
)
from cml_iam.render import MOST_PARTS, part_name, render_document

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cml_iam.aws.port import Aws
    from cml_iam.principal import Kind, Policy, Principal
    from cml_iam.provision._plan import Desired, Piece
    from cml_iam.provision._steps import Version
    from cml_iam.site import Site

MOST_ATTACHED: Final = 10
"""The default quota of managed policies attached to a user or role."""

_ADOPT: Final = (
    "if it is meant for this, adopt it first with `cml-iam bootstrap adopt`; otherwise name another"
    " `policy` in the site file"
)
_OWN_POLICY: Final = (
    "either leave it unchanged: name a new `policy` under [principal] in the site file, apply, and "
    "detach this policy from the {kind}; or change it for everyone: {command}"
)

_GET_HOLDERS: Final = "get the permission `iam:ListEntitiesForPolicy`"
_CHANGE_SHARED: Final = "`cml-iam bootstrap apply --change-shared`"

MOST_VERSIONS: Final = 5
"""https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html"""


@dataclass(frozen=True, slots=True)
class Managed:
    """A desired managed policy: its *name* and *arn*, and its document as *text*."""

    name: str
    arn: str
    text: str


def parts_of(desired: Desired) -> tuple[Managed, ...]:
    """Return the managed policies that together form the site's policy."""
    site = desired.site
    return tuple(
        Managed(part_name(site.policy, number), part_name(site.policy_arn, number), text)
        for number, text in enumerate(desired.documents, start=1)
    )


def site_policies(site: Site) -> Iterator[tuple[Piece, str]]:
    """Yield the ARN of every policy that a site may have: last part first, boundary last."""
    for number in range(MOST_PARTS, 0, -1):
        yield "principal", part_name(site.policy_arn, number)
    yield "guard", site.guard_arn
    yield "boundary", site.boundary_arn


def boundary_of(site: Site) -> Managed:
    """Return the boundary of *site*; raises the errors of `render_document`."""
    return Managed(site.boundary, site.boundary_arn, render_document(site, "boundary").text)


def guard_of(site: Site) -> Managed:
    """Return the guardrail of *site*; raises the errors of `render_document`."""
    return Managed(site.guard, site.guard_arn, render_document(site, "guard").text)


def policy_step(aws: Aws, managed: Managed, live: Policy | None, desired: Desired) -> Step:
    """Return the step that gives the managed policy its desired meaning."""
    if live is None:
        return _create(managed, desired)
    if same_meaning(live.document, load_policy(managed.text)):
        return Step("keep", "policy", managed.name, (f"{live.default} has the same meaning",))
    return _change(managed, live, read_versions(aws, managed.arn))


def _create(managed: Managed, desired: Desired) -> Step:
    document = load_policy(managed.text, "the wanted document")
    parameters = {
        "PolicyName": managed.name,
        "PolicyDocument": managed.text,
        "Tags": tag_pairs(desired),
    }
    size = f"{policy_size(managed.text)} characters"
    lines = (size, *tag_lines(desired_tags(desired)), *document_lines(document))
    return Step(
        "create", "policy", managed.name, lines, (Call("iam", "create_policy", parameters),)
    )


def _change(managed: Managed, live: Policy, versions: tuple[Version, ...]) -> Step:
    """Return the step that creates a new default version.

    The previous default stays the highest version below the new one, where a rollback finds it.
    Versions above it were rolled back and are deleted; if there are five, the oldest is deleted
    too.
    """
    lines = [*difference(live.document, load_policy(managed.text))]
    calls: list[Call] = []
    for version, why in _making_room(versions):
        parameters = {"PolicyArn": managed.arn, "VersionId": version.id}
        calls.append(Call("iam", "delete_policy_version", parameters))
        lines.append(f"- version {version.id}, {why}")
    lines.append(f"{live.default}, the current version, is kept for rollback")
    desired = {"PolicyArn": managed.arn, "PolicyDocument": managed.text, "SetAsDefault": True}
    calls.append(Call("iam", "create_policy_version", desired, once=True))
    return Step("change", "policy", managed.name, tuple(lines), tuple(calls))


def _making_room(versions: tuple[Version, ...]) -> Iterator[tuple[Version, str]]:
    default = next(version for version in versions if version.default)
    above = [version for version in versions if version.number > default.number]
    yield from ((version, "which was rolled back from") for version in above)
    if len(versions) - len(above) >= MOST_VERSIONS:
        oldest = next(version for version in versions if not version.default)
        yield oldest, f"the oldest of {len(versions)}, makes room"


def attachment_step(kind: Kind, name: str, live: Principal | None, managed: Managed) -> Step:
    """Return the step that attaches the policy."""
    label = f"{managed.name} to {name}"
    if live is not None and managed.arn in live.attached:
        return Step("keep", "attachment", label)
    parameters = {NAME[kind]: name, "PolicyArn": managed.arn}
    return Step(
        "create", "attachment", label, (), (Call("iam", f"attach_{kind}_policy", parameters),)
    )


def shared_policy(
    aws: Aws, live: Policy, *, but: tuple[Kind, str], changes: bool, agreed: bool
) -> Draft:
    """Return the problem if the policy *changes* although it is not ours or has other holders.

    A foreign policy that would stay unchanged and has no other holder may be adopted. If the user
    *agreed* to change our policy for other holders, known or not, the problem is only reported.
    *but* is the principal of the plan.
    """
    others, unknown = "", Draft()
    try:
        others = ", ".join(map(str, read_holders(aws, live.arn, but=but)))
    except DeniedError as error:
        said = f"could not check who else has the policy `{live.arn}`: {error.refused}"
        remedy = f"{_GET_HOLDERS}, or change the policy anyway: {_CHANGE_SHARED}"
        problem = Problem(said, None, remedy)
        unknown = Draft(unchecked=(said,)) if agreed else Draft(refused=(problem,))
    if not ours(live.tags):
        held = f", and is also attached to {others}" if others else ""
        said = f"the policy `{live.arn}` was not made by cml-iam{held}"
        both = f"`cml-iam bootstrap adopt`, then {_CHANGE_SHARED}"
        remedy = _OWN_POLICY.format(kind=but[0], command=both) if others else _ADOPT
        refused = (Problem(said, None, remedy),) if changes or others else ()
        return unknown + Draft(refused=refused)
    if not others:
        return unknown
    said = f"the policy `{live.arn}` is also attached to {others}, whose permissions would change"
    if agreed:
        return Draft(warnings=(said,))
    remedy = _OWN_POLICY.format(kind=but[0], command=_CHANGE_SHARED)
    return Draft(refused=(Problem(said, None, remedy),))


def attachment_room(aws: Aws, kind: Kind, live: Principal | None, steps: Sequence[Step]) -> Draft:
    """Return the problem if *steps* attach more policies than AWS allows, or None."""
    new = [step for step in steps if step.resource == "attachment" and step.mark == "create"]
    number = len(live.attached if live else ()) + len(new)
    if not new or number <= MOST_ATTACHED:
        return Draft()
    said = f"the {kind} would have {number} policies attached"
    try:
        summary = aws.call("iam", "get_account_summary")["SummaryMap"]
    except DeniedError:
        return Draft(warnings=(f"{said}: AWS allows {MOST_ATTACHED}, unless the quota was raised",))
    quota = summary.get(f"AttachedPoliciesPer{kind.title()}Quota", MOST_ATTACHED)
    if number <= quota:
        return Draft()
    remedy = "detach one that it no longer needs, or have the quota raised (Service Quotas: IAM)"
    return Draft(refused=(Problem(f"{said}, and AWS allows {quota}", None, remedy),))


def detachment_step(kind: Kind, name: str, arn: str) -> Step:
    """Return the step that detaches the policy at *arn* from the principal."""
    parameters = {NAME[kind]: name, "PolicyArn": arn}
    call = Call("iam", f"detach_{kind}_policy", parameters)
    return Step("delete", "attachment", f"{arn.rpartition('/')[2]} to {name}", (), (call,))


def removal_step(aws: Aws, arn: str) -> Step:
    """Return the step that deletes the policy at *arn*, after its other versions.

    https://docs.aws.amazon.com/IAM/latest/APIReference/API_DeletePolicy.html
    """
    address = {"PolicyArn": arn}
    calls = [
        Call("iam", "delete_policy_version", {**address, "VersionId": version.id})
        for version in read_versions(aws, arn)
        if not version.default
    ]
    lines = (f"with {len(calls)} former versions",) if calls else ()
    calls.append(Call("iam", "delete_policy", address))
    return Step("delete", "policy", arn.rpartition("/")[2], lines, tuple(calls))


def leftovers(aws: Aws, kind: Kind, name: str, live: Principal | None, desired: Desired) -> Draft:
    """Return the steps that remove parts no longer needed, last one first.

    Parts are numbered without gaps, so the search ends at the first missing number.
    """
    draft = Draft()
    for number in range(len(desired.documents) + 1, MOST_PARTS + 1):
        arn = part_name(desired.site.policy_arn, number)
        try:
            tags = read_tags(aws, arn)
        except NotFoundError:
            break
        except DeniedError as error:
            said = f"could not check whether a part `{arn}` is left over: {error.refused}"
            return draft + Draft(unchecked=(said,))
        part = _leftover(aws, kind, name, live, arn, tags)
        draft = Draft(part.steps + draft.steps, draft.warnings + part.warnings)
    return draft


def _leftover(
    aws: Aws, kind: Kind, name: str, live: Principal | None, arn: str, tags: dict[str, str]
) -> Draft:
    if not ours(tags):
        named = (
            f"the policy `{arn}` is kept: it has the name of a part, but was not made by cml-iam"
        )
        return Draft(warnings=(named,))
    attached = live is not None and arn in live.attached
    steps = (detachment_step(kind, name, arn),) if attached else ()
    others = read_holders(aws, arn, but=(kind, name))
    if others:
        holders = ", ".join(map(str, others))
        return Draft(steps, (f"the policy `{arn}` is kept: {holders} also has it",))
    return Draft((*steps, removal_step(aws, arn)))
