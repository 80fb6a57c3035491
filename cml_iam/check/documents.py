"""The offline audit of documents: lint, secrets, drift from the rendered ones, expectations."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple

from cml_iam.audit import Input, Skipped, Spot
from cml_iam.check._excerpts import with_excerpts
from cml_iam.check._expected import asks_offline, expectation_findings, matrix_of
from cml_iam.check._texts import lint_many, secrets_in
from cml_iam.check.answer import Answer, add_up, trimmed
from cml_iam.check.asking import answers, fact, with_state
from cml_iam.check.checks import AUDIT_FILES
from cml_iam.check.files import Content, Given, Policy, content_of, in_force
from cml_iam.check.verify import verify_offline
from cml_iam.engine import compile_policies
from cml_iam.errors import DocumentError, InputError, UnsupportedError
from cml_iam.expectations import derive_expectations
from cml_iam.lint import JUDGED_AS, Severity
from cml_iam.policy import attachment_problems, parse_policy
from cml_iam.render import DOCUMENTS, render_document, render_limits, render_parts
from cml_iam.report import plural

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cml_iam.audit import AuditFinding
    from cml_iam.check.asking import Check
    from cml_iam.errors import Problem
    from cml_iam.expectations import Judgement
    from cml_iam.lint import Kind
    from cml_iam.policy import PolicyDocument
    from cml_iam.render import Profile
    from cml_iam.site import Site

NO_POLICY: Final = (
    "no policy found: looked for a `Statement` in .json files and in JSON blocks of Markdown, in"
    " YAML, CloudFormation templates and Terraform plans"
)
_NAME_THEM: Final = "name files or folders with policies, or skip the check: --skip lint"
_AS_DEPLOYED: Final = (
    "give the template's parameters with --parameter, or give the deployed policies as JSON"
)
_NO_SITE: Final = "no site file that defines what must hold"


class Offline(NamedTuple):
    """A request for an audit of documents: files, the site, and which of its policies is in force.

    With *together*, the identity-based policies are judged as attached to one principal.
    *processes* is the number of processes that may share the work. If *site_file* is among the
    files, it stands for the documents that the site renders. *parameters* are the values of
    template parameters.
    """

    given: tuple[Given, ...] = ()
    site: Site | None = None
    profile: Profile = "hardened"
    together: bool = False
    processes: int = 1
    site_file: Path | None = None
    parameters: Mapping[str, str] = MappingProxyType({})


class FilesScene:
    """The files and the site, each read once."""

    def __init__(self, asked: Offline) -> None:
        self.asked, self.site, self.profile = asked, asked.site, asked.profile
        self.boundary: PolicyDocument | None = None
        alone = len(asked.given) == 1
        self.contents: Mapping[str, Content] = {
            each.name: content_of(each, asked.site, alone=alone, parameters=asked.parameters)
            for each in asked.given
        }
        self.policies = [
            policy for content in self.contents.values() for policy in content.policies
        ]
        self.read = [each for each in asked.given if each.unread is None]

    @fact
    def subjects(self) -> Sequence[Policy]:
        """The policies to judge: those in the files or, without files, the rendered ones."""
        if self.site and (not self.asked.given or (not self.policies and self._names_site())):
            return _rendered(self.site, self.profile)
        return self.policies

    def _names_site(self) -> bool:
        """Return whether the site file is among the given files."""
        there = self.asked.site_file
        given = self.asked.given
        return there is not None and any(
            Path(each.name).resolve() == there.resolve() for each in given
        )

    @fact
    def in_force(self) -> Sequence[Policy]:
        """The files with the manager's policy; if there are none, the rendered one applies."""
        return in_force(self.policies, self.profile)

    @property
    def name(self) -> str:
        """The name of the manager's policy in findings."""
        return self.in_force[0].file if self.in_force else f"{self.profile} (rendered)"

    @property
    def whose(self) -> str:
        """The manager's policy, in words."""
        files = self.in_force
        return _named(files) if files else f"the {self.profile} policy the site renders"

    @fact
    def documents(self) -> tuple[PolicyDocument, ...]:
        """The documents of the manager's policy.

        Raises UnsupportedError if it cannot be read, or if its file leaves parts of it open.
        """
        assert self.site is not None  # noqa: S101 - nothing is expected without a site
        files = self.in_force
        if not files:
            return _documents(self.site, self.profile)
        read = read_policies(files, self.site, self.asked.parameters)
        if len(read) == len(files):
            return read
        if any(file.kept and file.kept.template for file in files):
            reason = "it cannot be read, or its file leaves a part of it open"
            raise UnsupportedError(reason, remedy=_AS_DEPLOYED)
        raise UnsupportedError("the policy cannot be read", remedy="fix what lint found in it")


def audit_documents(asked: Offline) -> Answer:
    """Audit the files or, without any, the documents that the site renders; makes no calls.

    A check without files or a site to work on counts as not made. Raises InputError if there is
    neither a file nor a site.
    """
    if asked.site is None and not asked.given:
        raise InputError("nothing to audit", remedy="give FILES, or a site file: --site")
    scene = FilesScene(asked)
    inputs = tuple(Input(each.name, "file", each.sha256) for each in scene.read)
    over = tuple(
        Skipped(name, each.skipped) for name, each in scene.contents.items() if each.skipped
    )
    whole = answers(AUDIT_FILES, scene, before=Answer(inputs=inputs, passed_over=over))
    whole = replace(whole, findings=_once(whole.findings, asked))
    texts = {each.name: each.text for each in scene.read} | {
        subject.name: subject.text
        for subject in scene.subjects
        if subject.name not in scene.contents
    }
    return with_excerpts(
        trimmed(whole, "\n".join(subject.text for subject in scene.subjects)), texts
    )


def _without_site(check: Check) -> Answer:
    remedy = f"name it with --site, or skip the check: --skip {check.id}"
    return check.not_checked(_NO_SITE, remedy)


def read_policies(
    policies: Sequence[Policy], site: Site, parameters: Mapping[str, str]
) -> tuple[PolicyDocument, ...]:
    """Return the readable documents of *policies*, for the account of *site*.

    *parameters* are the values of template parameters. Lint reports documents that cannot be read.
    """
    read = []
    for policy in policies:
        try:
            document = _document(policy, site, parameters)
        except (DocumentError, UnsupportedError):
            continue
        if not attachment_problems(document):
            read.append(document)
    return tuple(read)


def _document(policy: Policy, site: Site, parameters: Mapping[str, str]) -> PolicyDocument:
    if not policy.kept:
        return parse_policy(policy.text, policy.name)
    # Most files are plain JSON, and need none of this.
    from cml_iam.sources import document_of, pseudo_of

    return document_of(policy.kept, {**parameters, **pseudo_of(site.account, site.partition)})


def _rendered(site: Site, profile: Profile) -> list[Policy]:
    """Return the parts of the site's policy, and its limits."""
    parts = render_parts(site, profile)
    name = f"{profile} (rendered)"
    policies = [
        Policy(name if len(parts) == 1 else f"{name} {number}", each.text, each.kind, profile)
        for number, each in enumerate(parts, start=1)
    ]
    policies += [
        Policy(f"{role} (rendered)", each.text, each.kind, role)
        for role, each in render_limits(site).items()
    ]
    return policies


def lint(check: Check, scene: FilesScene, _before: Answer) -> Answer:
    """Judge the policies by lint's rules; counts as not made if a file cannot be read."""
    policies, asked = scene.subjects, scene.asked
    findings: list[AuditFinding] = []
    kinds: dict[Kind, list[Policy]] = {}
    for each in policies:
        kinds.setdefault(each.kind, []).append(each)
    for kind, group in kinds.items():
        together = asked.together and kind == "identity"
        findings += lint_many(check, group, kind, together=together, processes=asked.processes)
    order = {each.file: number for number, each in enumerate(policies)}
    findings.sort(key=lambda each: (order.get(each.spot.file or "", 0), each.spot.line or 0))
    many = plural(len(policies), "policy")
    others = [f"{len(kinds[kind])} as {JUDGED_AS[kind]}" for kind in kinds if kind in JUDGED_AS]
    result = check.passed(len(policies), "; ".join((many, *others)))
    if not policies:
        result = with_state(replace(result, detail=""), "not checked", NO_POLICY, _NAME_THEM)
    unread = _unread(scene.contents.values())
    if unread:
        many = plural(len(unread), "part")
        reason = f"{many} of the policies cannot be read and are listed as not judged"
        result = with_state(result, "not checked", reason, _AS_DEPLOYED)
    over = tuple(
        Skipped(str(problem.place) if problem.place else "<policy>", problem.message)
        for problem in unread
    )
    return Answer(checks=(result,), findings=tuple(findings), passed_over=over)


def _unread(contents: Iterable[Content]) -> tuple[Problem, ...]:
    """Return the files and policies, or parts of them, that could not be read."""
    return tuple(
        problem
        for content in contents
        for problem in (*content.unread, *(p for policy in content.policies for p in policy.open))
    )


def secrets(check: Check, scene: FilesScene, _before: Answer) -> Answer:
    """Look through every file for access keys."""
    if not scene.read:
        return Answer()
    findings = (finding for file in scene.read for finding in secrets_in(check, file))
    return check.answer(len(scene.read), plural(len(scene.read), "file"), None, findings)


def file_drift(check: Check, scene: FilesScene, _before: Answer) -> Answer:
    """Compare each file that is named like a document of the site with the rendered one."""
    site = scene.site
    if site is None:
        return _without_site(check)
    roles = dict.fromkeys(policy.role for policy in scene.policies if policy.role)
    if not roles:
        return Answer()
    from cml_iam.check._meaning import compared  # what compares is loaded only where it is needed

    many = f"{len(roles)} compared: {', '.join(map(str, roles))}"
    parts = [check.answer(len(roles), many)]
    for role in roles:
        files = [policy for policy in scene.policies if policy.role == role]
        there = read_policies(files, site, scene.asked.parameters)
        rendered = _documents(site, scene.profile if role == "policy" else role)
        if len(there) < len(files) or not rendered:
            continue  # lint says why it cannot be read; or the site does not render it
        spot = Spot(file=files[0].name)
        parts.append(compared(check, rendered, there, spot, _named(files), site.partition))
    return add_up(parts)


def _documents(site: Site, role: str) -> tuple[PolicyDocument, ...]:
    try:
        if role in ("base", "hardened"):
            return tuple(part.document for part in render_parts(site, role))  # type: ignore[arg-type] # one of the two
        return (render_document(site, role).document,)
    except InputError:
        return ()


def _named(files: Sequence[Policy]) -> str:
    return ", ".join(f"`{file.name}`" for file in files)


def expectations(check: Check, scene: FilesScene, before: Answer) -> Answer:
    """Check the site's expectations on the manager's policy; report unexplained failures."""
    if scene.site is None:
        return _without_site(check)
    documents, boundary = scene.documents, scene.boundary
    done = verify_offline(derive_expectations(scene.site), documents, boundary)
    asker = asks_offline(compile_policies(identity=documents, boundary=boundary))
    failed = [
        judgement
        for judgement in done.failed
        if not _by_lint(judgement, before.findings, scene.name)
    ]
    if _drifted(before, scene.name):
        failed = []
    asked, wrong = len(done.judgements), len(done.failed)
    result = check.passed(asked, f"{asked} checked against {scene.whose}, {wrong} do not hold")
    return Answer(
        checks=(with_state(result, "failed") if wrong else result,),
        findings=expectation_findings(check, failed, asker, Spot(file=scene.name)),
        matrices=(matrix_of(done.judgements, asker, "offline"),),
        verified=(done,),
    )


def promises(check: Check, scene: FilesScene, before: Answer) -> Answer:
    """Prove the site's promises for the manager's policy in the files.

    For rendered documents, `policy prove` does this.
    """
    site = scene.site
    if scene.profile == "base":  # the base policy promises no restriction
        return Answer()
    if site is None:
        return _without_site(check)
    asked = next(each for each in before.checks if each.id == "expectations")
    if not scene.in_force or asked.state == "not checked":
        return Answer()
    from cml_iam.check._meaning import proved
    from cml_iam.prove import Policies

    explained = asked.state == "failed" or _drifted(before, scene.name)
    return proved(
        check, site, Policies(scene.documents), Spot(file=scene.name), explained=explained
    )


def _drifted(before: Answer, name: str) -> bool:
    return any(
        finding.check == "file-drift" and finding.spot.file == name for finding in before.findings
    )


def _by_lint(judgement: Judgement, findings: Sequence[AuditFinding], name: str) -> bool:
    """Return whether a lint finding in the document (other than advice) is the reason."""
    action = judgement.expectation.permission
    return any(
        finding.severity > Severity.INFO
        and (finding.check, finding.spot.file) == ("lint", name)
        and any(ask.action == action for ask in finding.witness)
        for finding in findings
    )


def _once(findings: Sequence[AuditFinding], asked: Offline) -> tuple[AuditFinding, ...]:
    """Remove lint findings about statements whose fault another finding already reports.

    If a statement of ours was changed, the change is the only fault. If a statement breaks an
    expectation, advice on it is not a second fault.
    """
    drifted = {finding.spot.file for finding in findings if finding.check == "file-drift"}
    ours = _sids(asked) if drifted else frozenset()
    broken = {
        (finding.spot.file, label)
        for finding in findings
        if finding.check in ("expectations", "promises")
        for ask in finding.witness
        for label in ask.statements
    }
    return tuple(
        finding
        for finding in findings
        if finding.check != "lint"
        or (
            not (finding.spot.file in drifted and finding.spot.statement in ours)
            and not (
                finding.severity is Severity.INFO
                and (finding.spot.file, finding.spot.statement) in broken
            )
        )
    )


def _sids(asked: Offline) -> frozenset[str | None]:
    assert asked.site is not None  # noqa: S101 - only a site has documents to drift from
    names = [name for name in DOCUMENTS if name != "base" or asked.profile == "base"]
    return frozenset(
        statement.sid
        for name in names
        for document in _documents(asked.site, name)
        for statement in document.statements
        if statement.sid
    )
