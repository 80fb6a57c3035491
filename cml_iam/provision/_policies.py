"""Plan the steps for a site's managed policies: the parts of its policy, guardrail, boundary."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

from cml_iam.aws.port import Aws
from cml_iam.errors import DeniedError, NotFoundError, Problem
from cml_iam.policy import difference, document_lines, load_policy, policy_size, same_meaning
from cml_iam.principal import NAME, Policy, read_policy, tags_of
from cml_iam.provision._plan import Call, Desired, Draft, Piece, Step, iam
from cml_iam.provision._principal import Subject, desired_tags, ours, tag_lines, tag_step
from cml_iam.render import MOST_PARTS, part_name, render_document
from cml_iam.site import Site
from cml_iam.tag import as_aws

MOST_ATTACHED: Final = 10
"""The default quota of managed policies attached to a user or role."""

MOST_VERSIONS: Final = 5
"""https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html"""

_ADOPT: Final = (
    "if it is meant for this, adopt it first with `cml-iam bootstrap adopt`; otherwise name another"
    " `policy` in the site file"
)
_OWN_POLICY: Final = (
    "either leave it unchanged: name a new `policy` under [principal] in the site file, apply, and "
    "detach this policy from the {kind}; or change it for everyone: {command}"
)
_CHANGE_SHARED: Final = "`cml-iam bootstrap apply --change-shared`"


class Managed(NamedTuple):
    """A desired managed policy, and the one at its *arn* now (*live*, None if there is none)."""

    arn: str
    text: str
    live: Policy | None

    @property
    def name(self) -> str:
        """The policy's name."""
        return self.arn.rpartition("/")[2]


class Version(NamedTuple):
    """One of the up to five versions of a managed policy."""

    number: int
    default: bool

    @property
    def id(self) -> str:
        """Its id: `v10` for number 10."""
        return f"v{self.number}"


def site_policies(site: Site) -> Iterator[tuple[Piece, str]]:
    """Yield the ARN of every policy that a site may have: last part first, boundary last."""
    for number in range(MOST_PARTS, 0, -1):
        yield "principal", part_name(site.policy_arn, number)
    yield "guard", site.guard_arn
    yield "boundary", site.boundary_arn


def read_parts(aws: Aws, desired: Desired) -> tuple[Managed, ...]:
    """Return the managed policies that together form the site's policy."""
    arns = (part_name(desired.site.policy_arn, n) for n in range(1, len(desired.documents) + 1))
    return tuple(
        Managed(arn, text, read_policy(aws, arn))
        for arn, text in zip(arns, desired.documents, strict=True)
    )


def read_limit(aws: Aws, site: Site, piece: Piece) -> tuple[Managed]:
    """Return the boundary or guardrail of *site*; raises the errors of `render_document`."""
    arn = dict(site_policies(site))[piece]
    text = render_document(site, piece).text
    return (Managed(arn, text, read_policy(aws, arn)),)


def read_tags(aws: Aws, arn: str) -> dict[str, str]:
    """Return the tags of the policy at *arn*; raises NotFoundError if there is none."""
    return tags_of(aws.call("iam", "get_policy", PolicyArn=arn)["Policy"])


def read_versions(aws: Aws, arn: str) -> tuple[Version, ...]:
    """Return the versions of the policy at *arn*, oldest first."""
    pages = aws.pages("iam", "list_policy_versions", "Versions", PolicyArn=arn)
    return tuple(
        sorted(Version(int(page["VersionId"][1:]), page["IsDefaultVersion"]) for page in pages)
    )


def other_holders(subject: Subject, arn: str) -> str:
    """Return in words who else has the policy at *arn*, attached or as permissions boundary.

    https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListEntitiesForPolicy.html
    """
    holders: dict[tuple[str, str], str] = {}
    for usage, manner in (
        ("PermissionsPolicy", ""),
        ("PermissionsBoundary", " (as its boundary)"),
    ):
        for kind, name in _entities(subject.aws, arn, usage):
            holders.setdefault((kind, name), f"{kind} {name}{manner}")
    holders.pop((subject.kind, subject.name), None)
    return ", ".join(holders.values())


def _entities(aws: Aws, arn: str, usage: str) -> Iterator[tuple[str, str]]:
    """Yield kinds and names: a response page contains all three kinds."""
    page: dict[str, Any] = {"IsTruncated": True}
    while page.get("IsTruncated"):
        marker = {"Marker": page["Marker"]} if "Marker" in page else {}
        page = aws.call(
            "iam", "list_entities_for_policy", PolicyArn=arn, PolicyUsageFilter=usage, **marker
        )
        for kind, key in NAME.items():
            for entity in page.get(f"Policy{kind.title()}s", ()):
                yield kind, entity[key]


def policy_step(subject: Subject, managed: Managed) -> Step:
    """Return the step that gives the managed policy its desired meaning."""
    if managed.live is None:
        return _created(managed, desired_tags(subject.desired))
    if same_meaning(managed.live.document, load_policy(managed.text)):
        line = f"{managed.live.default} has the same meaning"
        return Step("keep", "policy", managed.name, (line,))
    return _changed(managed, managed.live, read_versions(subject.aws, managed.arn))


def _created(managed: Managed, tags: dict[str, str]) -> Step:
    document = load_policy(managed.text, "the wanted document")
    call = iam(
        "create_policy",
        PolicyName=managed.name,
        PolicyDocument=managed.text,
        Tags=as_aws(tags),
    )
    size = f"{policy_size(managed.text)} characters"
    lines = (size, *tag_lines(tags), *document_lines(document))
    return Step("create", "policy", managed.name, lines, (call,))


def _changed(managed: Managed, live: Policy, versions: tuple[Version, ...]) -> Step:
    """Return the step that creates a new default version.

    The previous default stays the highest version below the new one, where a rollback finds it.
    Versions above it were rolled back and are deleted; if there are five, the oldest is deleted
    too.
    """
    lines = [*difference(live.document, load_policy(managed.text))]
    calls: list[Call] = []
    for version, why in _making_room(versions):
        calls.append(iam("delete_policy_version", PolicyArn=managed.arn, VersionId=version.id))
        lines.append(f"- version {version.id}, {why}")
    lines.append(f"{live.default}, the current version, is kept for rollback")
    create = {"PolicyArn": managed.arn, "PolicyDocument": managed.text, "SetAsDefault": True}
    calls.append(Call("iam", "create_policy_version", create, once=True))
    return Step("change", "policy", managed.name, tuple(lines), tuple(calls))


def _making_room(versions: tuple[Version, ...]) -> Iterator[tuple[Version, str]]:
    default = next(version for version in versions if version.default)
    above = [version for version in versions if version.number > default.number]
    yield from ((version, "which was rolled back from") for version in above)
    if len(versions) - len(above) >= MOST_VERSIONS:
        oldest = next(version for version in versions if not version.default)
        yield oldest, f"the oldest of {len(versions)}, makes room"


def attached_steps(subject: Subject, policies: Sequence[Managed]) -> Iterator[Step]:
    """Yield the steps for *policies* and their attachments.

    New policies are attached before existing ones change. A request that is allowed (or denied)
    both before and after is then also allowed (or denied) in between.
    """
    attached = subject.live.attached if subject.live else ()
    steps = {managed.arn: policy_step(subject, managed) for managed in policies}
    for held in (False, True):
        group = [managed for managed in policies if (managed.arn in attached) is held]
        yield from (steps[managed.arn] for managed in group)
        if "principal" in subject.desired.pieces or held:
            yield from (_attachment_step(subject, managed, held) for managed in group)


def _attachment_step(subject: Subject, managed: Managed, held: bool) -> Step:
    call = subject.call("attach_{}_policy", PolicyArn=managed.arn)
    label = f"{managed.name} to {subject.name}"
    return Step("create", "attachment", label, (), (call,)).unless(held)


def attachment_room(subject: Subject, steps: Sequence[Step]) -> Draft:
    """Return the problem if *steps* attach more policies than AWS allows."""
    new = [step for step in steps if step.resource == "attachment" and step.mark == "create"]
    number = len(subject.live.attached if subject.live else ()) + len(new)
    if not new or number <= MOST_ATTACHED:
        return Draft()
    problem = f"the {subject.kind} would have {number} policies attached"
    try:
        summary = subject.aws.call("iam", "get_account_summary")["SummaryMap"]
    except DeniedError:
        warning = f"{problem}: AWS allows {MOST_ATTACHED}, unless the quota was raised"
        return Draft(warnings=(warning,))
    quota = summary.get(f"AttachedPoliciesPer{subject.kind.title()}Quota", MOST_ATTACHED)
    if number <= quota:
        return Draft()
    remedy = "detach one that it no longer needs, or have the quota raised (Service Quotas: IAM)"
    return Draft(refused=(Problem(f"{problem}, and AWS allows {quota}", None, remedy),))


def rewritten(subject: Subject, policies: Sequence[Managed], steps: Sequence[Step]) -> Draft:
    """Return the problems of policies that *steps* rewrite: other holders, or not ours."""
    changed = {step.name for step in steps if step.resource == "policy" and step.changes}
    draft = Draft()
    for managed in policies:
        changes = managed.name in changed
        if managed.live and (changes or not ours(managed.live.tags)):
            agreed = subject.desired.change_shared
            draft += shared_policy(subject, managed.live, changes=changes, agreed=agreed)
    return draft


def shared_policy(subject: Subject, live: Policy, *, changes: bool, agreed: bool) -> Draft:
    """Return the problem if the policy *changes* although it is not ours or has other holders.

    A foreign policy that would stay unchanged and has no other holder may be adopted. If the user
    *agreed* to change our policy for other holders, known or not, the problem is only reported.
    """
    others, unknown = "", Draft()
    try:
        others = other_holders(subject, live.arn)
    except DeniedError as error:
        message = f"could not check who else has the policy `{live.arn}`: {error.refused}"
        get = "get the permission `iam:ListEntitiesForPolicy`"
        problem = Problem(message, None, f"{get}, or change the policy anyway: {_CHANGE_SHARED}")
        unknown = Draft(unchecked=(message,)) if agreed else Draft(refused=(problem,))
    if not ours(live.tags):
        held = f", and is also attached to {others}" if others else ""
        message = f"the policy `{live.arn}` was not made by cml-iam{held}"
        both = f"`cml-iam bootstrap adopt`, then {_CHANGE_SHARED}"
        remedy = _OWN_POLICY.format(kind=subject.kind, command=both) if others else _ADOPT
        refused = (Problem(message, None, remedy),) if changes or others else ()
        return unknown + Draft(refused=refused)
    if not others:
        return unknown
    message = (
        f"the policy `{live.arn}` is also attached to {others}, whose permissions would change"
    )
    if agreed:
        return Draft(warnings=(message,))
    remedy = _OWN_POLICY.format(kind=subject.kind, command=_CHANGE_SHARED)
    return Draft(refused=(Problem(message, None, remedy),))


def tag_steps(subject: Subject, policies: Sequence[Managed]) -> Iterator[Step]:
    """Yield a tag step for each existing resource; new ones are created with their tags."""
    live, desired = subject.live, subject.desired
    if live is not None and "principal" in desired.pieces:
        address = {NAME[subject.kind]: subject.name}
        yield tag_step(subject.kind, subject.name, live.tags, address, desired)
    for managed in policies:
        if managed.live is not None:
            address = {"PolicyArn": managed.arn}
            yield tag_step("policy", managed.name, managed.live.tags, address, desired)


def detachment_step(subject: Subject, arn: str) -> Step:
    """Return the step that detaches the policy at *arn* from the principal."""
    call = subject.call("detach_{}_policy", PolicyArn=arn)
    return Step("delete", "attachment", f"{arn.rpartition('/')[2]} to {subject.name}", (), (call,))


def removal_step(aws: Aws, arn: str) -> Step:
    """Return the step that deletes the policy at *arn*, after its other versions.

    https://docs.aws.amazon.com/IAM/latest/APIReference/API_DeletePolicy.html
    """
    former = [version.id for version in read_versions(aws, arn) if not version.default]
    calls = (iam("delete_policy_version", PolicyArn=arn, VersionId=version) for version in former)
    lines = (f"with {len(former)} former versions",) if former else ()
    name = arn.rpartition("/")[2]
    return Step("delete", "policy", name, lines, (*calls, iam("delete_policy", PolicyArn=arn)))


def leftovers(subject: Subject) -> Draft:
    """Return the steps that remove parts no longer needed, last one first.

    Parts are numbered without gaps, so the search ends at the first missing number.
    """
    draft, desired = Draft(), subject.desired
    for number in range(len(desired.documents) + 1, MOST_PARTS + 1):
        arn = part_name(desired.site.policy_arn, number)
        try:
            tags = read_tags(subject.aws, arn)
        except NotFoundError:
            break
        except DeniedError as error:
            why = f"could not check whether a part `{arn}` is left over: {error.refused}"
            return draft + Draft(unchecked=(why,))
        part = _leftover(subject, arn, tags)
        draft = Draft(part.steps + draft.steps, draft.warnings + part.warnings)
    return draft


def _leftover(subject: Subject, arn: str, tags: dict[str, str]) -> Draft:
    kept = f"the policy `{arn}` is kept"
    if not ours(tags):
        reason = "it has the name of a part, but was not made by cml-iam"
        return Draft(warnings=(f"{kept}: {reason}",))
    attached = subject.live is not None and arn in subject.live.attached
    steps = (detachment_step(subject, arn),) if attached else ()
    others = other_holders(subject, arn)
    if others:
        return Draft(steps, (f"{kept}: {others} also has it",))
    return Draft((*steps, removal_step(subject.aws, arn)))
