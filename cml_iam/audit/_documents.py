"""The audit of documents, offline: lint, secrets, drift from the rendered ones, expectations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cml_iam.audit._asking import with_states
from cml_iam.audit._expected import asks_offline, expectation_findings, judged, matrix_of
from cml_iam.audit._given import Given, Policy, content_of
from cml_iam.audit._lint import LINT, lint_many
from cml_iam.audit._part import Part, add_up, trimmed
from cml_iam.audit._promises import PROMISES, PROMISES_TITLE, promises
from cml_iam.audit._report import Check, Input, Skipped, Spot
from cml_iam.audit._secrets import SECRETS, secrets_in
from cml_iam.engine import compile_policies
from cml_iam.errors import DocumentError, InputError, QuotaError, UnsupportedError
from cml_iam.lint import JUDGED_AS, Severity
from cml_iam.policy import attachment_problems, parse_policy
from cml_iam.render import DOCUMENTS, render_document, render_parts
from cml_iam.sources import document_of, pseudo_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cml_iam.audit._report import AuditFinding, State
    from cml_iam.errors import Problem
    from cml_iam.expectations import Judgement
    from cml_iam.lint import Kind
    from cml_iam.policy import PolicyDocument
    from cml_iam.render import Profile
    from cml_iam.site import Site

DRIFT: Final = "file-drift"
EXPECTATIONS: Final = "expectations"

DRIFT_TITLE: Final = "Files named as documents of the site mean what the site renders"
EXPECTATIONS_TITLE: Final = "Every permission of the site works, and nothing beyond"

NO_POLICY: Final = (
    "no policy found: looked for a `Statement` in .json files and in JSON blocks of Markdown, in"
    " YAML, CloudFormation templates and Terraform plans"
)
_NAME_THEM: Final = "name files or folders with policies, or leave this out: --skip lint"
_AS_DEPLOYED: Final = "give these policies as JSON, as they are deployed"
_NO_SITE: Final = "no site file, which says what must hold"

OFFLINE: Final = (LINT, DRIFT, SECRETS, EXPECTATIONS, PROMISES)
"""The checks of documents, by id."""

RENDERED: Final = ("boundary", "guard")
"""What is judged of a site without files, beside its policy."""


@dataclass(frozen=True, slots=True)
class Offline:
    """What is asked for: the files, the site, which of its policies is in force.

    *together*: the identity-based policies are judged as attached to one principal. *processes*:
    how many may share the work on many policies. *site_file*: given among the files, it stands for
    what the site renders.
    """

    given: tuple[Given, ...] = ()
    site: Site | None = None
    profile: Profile = "hardened"
    together: bool = False
    processes: int = 1
    site_file: Path | None = None


def audit_documents(asked: Offline) -> Part:
    """Audit the files, or without any the documents the site renders; speaks to nobody.

    A check that the files, or the want of a site, leave nothing to ask of is one not made. Raises
    InputError where there is neither a file nor a site.
    """
    if asked.site is None and not asked.given:
        raise InputError("nothing to audit", remedy="give FILES, or a site file: --site")
    alone = len(asked.given) == 1
    contents = {each.name: content_of(each, asked.site, alone=alone) for each in asked.given}
    policies = [policy for each in contents.values() for policy in each.policies]
    read = [each for each in asked.given if each.unread is None]
    inputs = tuple(Input(each.name, "file", each.sha256) for each in read)
    over = tuple(Skipped(n, each.skipped) for n, each in contents.items() if each.skipped)
    left = tuple(
        problem
        for content in contents.values()
        for problem in (*content.unread, *(p for each in content.policies for p in each.open))
    )
    subjects = policies
    if asked.site and (not asked.given or (not policies and _names_site(asked))):
        subjects = _rendered(asked.site, asked.profile)
    lint = _left_open(_lint(subjects, asked), left)
    compared = _drift(policies, asked)
    expected = _expectations(policies, asked, lint.findings, compared.findings)
    kept = _unexplained(lint.findings, compared, expected, asked)
    parts = [
        Part(inputs=inputs, passed_over=over),
        replace(lint, findings=kept),
        compared,
        expected,
        _without_site(asked),
    ]
    whole = with_states(add_up([*parts, _secrets(read)]))
    return trimmed(whole, "\n".join(each.text for each in subjects))


def _names_site(asked: Offline) -> bool:
    """Say whether the site's own file is among those given."""
    there = asked.site_file
    return there is not None and any(Path(e.name).resolve() == there.resolve() for e in asked.given)


def _without_site(asked: Offline) -> Part:
    """Return the checks that only a site can be asked, as not made where there is none."""
    if asked.site is not None:
        return Part()
    titles = {DRIFT: DRIFT_TITLE, EXPECTATIONS: EXPECTATIONS_TITLE, PROMISES: PROMISES_TITLE}
    if asked.profile == "base":
        del titles[PROMISES]
    return Part(
        checks=tuple(
            Check(
                id_,
                title,
                "documents" if id_ == DRIFT else "permissions",
                "not checked",
                reason=_NO_SITE,
                remedy=f"name it with --site, or leave this out: --skip {id_}",
            )
            for id_, title in titles.items()
        )
    )


def read_policies(policies: Sequence[Policy], site: Site) -> tuple[PolicyDocument, ...]:
    """Return the documents of *policies* that can be read, in the account of *site*.

    Lint reports the rest.
    """
    read = []
    known = pseudo_of(site.account, site.partition)
    for each in policies:
        try:
            document = _document(each, known)
        except (DocumentError, UnsupportedError):
            continue
        if not attachment_problems(document):
            read.append(document)
    return tuple(read)


def _document(policy: Policy, known: Mapping[str, str]) -> PolicyDocument:
    if policy.kept:
        return document_of(policy.kept, known)
    return parse_policy(policy.text, policy.name)


def _left_open(part: Part, left: Sequence[Problem]) -> Part:
    """Return the *part* of lint with what it could not judge: then the check is not made whole."""
    if not left:
        return part
    over = tuple(
        Skipped(str(each.place) if each.place else "<policy>", each.message) for each in left
    )
    many = f"{len(left)} part{'s' if left[1:] else ''}"
    reason = f"{many} of the policies cannot be read as the files are, and are listed as not judged"
    checks = tuple(
        replace(each, state="not checked", reason=reason, remedy=_AS_DEPLOYED)
        for each in part.checks
    )
    return replace(part, checks=checks, passed_over=over)


def _rendered(site: Site, profile: Profile) -> list[Policy]:
    """Return the policy of the site, in its parts, and what bounds it."""
    parts = render_parts(site, profile)
    name = f"{profile} (rendered)"
    found = [
        Policy(name if len(parts) == 1 else f"{name} {number}", each.text, each.kind, profile)
        for number, each in enumerate(parts, start=1)
    ]
    for role in RENDERED if site.restrict.active else ():
        try:
            rendered = render_document(site, role)
        except QuotaError:
            continue  # a boundary cannot be had in parts
        found.append(Policy(f"{role} (rendered)", rendered.text, rendered.kind, role))
    return found


def _lint(policies: Sequence[Policy], asked: Offline) -> Part:
    findings: list[AuditFinding] = []
    kinds: dict[Kind, list[Policy]] = {}
    for each in policies:
        kinds.setdefault(each.kind, []).append(each)
    for kind, group in kinds.items():
        together = asked.together and kind == "identity"
        findings += lint_many(group, kind, together=together, processes=asked.processes)
    order = {each.file: number for number, each in enumerate(policies)}
    findings.sort(key=lambda each: (order.get(each.spot.file or "", 0), each.spot.line or 0))
    many = f"{len(policies)} {'policies' if policies[1:] else 'policy'}"
    others = [f"{len(kinds[kind])} as {JUDGED_AS[kind]}" for kind in kinds if kind in JUDGED_AS]
    many = "; ".join((many, *others))
    title = "What the policies say has the effect it is meant to have"
    check = Check(LINT, title, "documents", "passed", len(policies), many)
    if not policies:
        check = replace(check, state="not checked", detail="", reason=NO_POLICY, remedy=_NAME_THEM)
    return Part(checks=(check,), findings=tuple(findings))


def _secrets(given: Sequence[Given]) -> Part:
    if not given:
        return Part()
    findings = tuple(each for file in given for each in secrets_in(file))
    title = "No file holds an access key"
    many = f"{len(given)} file{'s' if given[1:] else ''}"
    check = Check(SECRETS, title, "documents", "passed", len(given), many)
    return Part(checks=(check,), findings=findings)


def _drift(policies: Sequence[Policy], asked: Offline) -> Part:
    """Compare each file that is named as a document of the site with the rendered one."""
    site = asked.site
    roles = dict.fromkeys(each.role for each in policies if each.role)
    if site is None or not roles:
        return Part()
    from cml_iam.audit._drift import drift  # what compares is loaded only where it is needed

    parts: list[Part] = []
    for role in roles:
        files = [each for each in policies if each.role == role]
        there = read_policies(files, site)
        wanted = _wanted(site, asked.profile if role == "policy" else role)
        if len(there) < len(files) or not wanted:
            continue  # lint says why it cannot be read; or the site does not render it
        spot = Spot(file=files[0].name)
        parts.append(drift(wanted, there, spot, DRIFT, _named(files)))
    many = f"{len(roles)} compared: {', '.join(map(str, roles))}"
    check = Check(DRIFT, DRIFT_TITLE, "documents", "passed", len(roles), many)
    return add_up([Part(checks=(check,)), *parts])


def _wanted(site: Site, role: str) -> tuple[PolicyDocument, ...]:
    try:
        if role in ("base", "hardened"):
            return tuple(each.document for each in render_parts(site, role))  # type: ignore[arg-type] # one of the two
        return (render_document(site, role).document,)
    except InputError:
        return ()


def _named(files: Sequence[Policy]) -> str:
    return ", ".join(f"`{each.name}`" for each in files)


def in_force(policies: Sequence[Policy], profile: Profile) -> list[Policy]:
    """Return the files that are the manager's policy: by name, or the only one there is.

    A statement alone is a part of one.
    """
    for roles in (("policy",), (profile,), ("hardened", "base")):
        named = [each for each in policies if each.role in roles[:1]]
        named = named or [each for each in policies if each.role in roles]
        if named:
            return [*named, *(each for each in policies if each.role == "guard")]
    identity = [each for each in policies if each.kind == "identity" and each.role is None]
    identity = [each for each in identity if not each.snippet]
    return identity if len(identity) == 1 else []


def _expectations(
    policies: Sequence[Policy],
    asked: Offline,
    lint: Sequence[AuditFinding],
    drifted: Sequence[AuditFinding],
) -> Part:
    """Ask the expectations of the site of the manager's policy; say what nothing else explains."""
    site = asked.site
    if site is None:
        return Part()
    title = EXPECTATIONS_TITLE
    files = in_force(policies, asked.profile)
    documents = read_policies(files, site) if files else _wanted(site, asked.profile)
    if files and len(documents) < len(files):
        reason, remedy = "the policy cannot be read", "fix what lint found in it"
        if any(each.kept and each.kept.template for each in files):
            reason, remedy = "it cannot be read, or its file leaves a part of it open", _AS_DEPLOYED
        check = Check(EXPECTATIONS, title, "permissions", "not checked", 0, "", reason, remedy)
        return Part(checks=(check,))
    authorizer = compile_policies(identity=documents)
    asker, judgements = asks_offline(authorizer), judged(authorizer, site, documents)
    wrong = [each for each in judgements if each.verdict == "fails"]
    name = files[0].file if files else f"{asked.profile} (rendered)"
    whose = _named(files) if files else f"the {asked.profile} policy the site renders"
    explained = any(each.spot.file == name for each in drifted)
    failed = [] if explained else [each for each in wrong if not _by_lint(each, lint, name)]
    detail = f"{len(judgements)} asked of {whose}, {len(wrong)} do not hold"
    state: State = "failed" if wrong else "passed"
    check = Check(EXPECTATIONS, title, "permissions", state, len(judgements), detail)
    part = Part(
        checks=(check,),
        findings=expectation_findings(failed, asker, Spot(file=name), EXPECTATIONS),
        matrices=(matrix_of(judgements, asker, "offline"),),
    )
    # Of what the site renders it is proved once, by `policy prove`; here, of what is in the files.
    if not files or asked.profile == "base":
        return part
    return part + promises(site, documents, name, told=explained or bool(wrong))


def _by_lint(judgement: Judgement, lint: Sequence[AuditFinding], name: str) -> bool:
    """Say whether something lint found, not merely advised, in the document is the reason."""
    action = judgement.expectation.permission
    return any(
        each.severity > Severity.INFO
        and each.spot.file == name
        and any(ask.action == action for ask in each.witness)
        for each in lint
    )


def _unexplained(
    lint: Sequence[AuditFinding], compared: Part, expected: Part, asked: Offline
) -> tuple[AuditFinding, ...]:
    """Leave out what lint says of statements whose fault another finding tells already.

    A changed statement of ours is one fault, that it was changed; and advice on a statement is no
    second fault where it breaks an expectation.
    """
    drifted = {each.spot.file for each in compared.findings}
    ours = _sids(asked) if drifted else frozenset()
    broken = {
        (each.spot.file, label)
        for each in expected.findings
        for ask in each.witness
        for label in ask.statements
    }
    return tuple(
        each
        for each in lint
        if not (each.spot.file in drifted and each.spot.statement in ours)
        and not (each.severity is Severity.INFO and (each.spot.file, each.spot.statement) in broken)
    )


def _sids(asked: Offline) -> frozenset[str | None]:
    assert asked.site is not None  # noqa: S101 - only a site has documents to drift from
    names = [name for name in DOCUMENTS if name != "base" or asked.profile == "base"]
    return frozenset(
        statement.sid
        for name in names
        for document in _wanted(asked.site, name)
        for statement in document.statements
        if statement.sid
    )
