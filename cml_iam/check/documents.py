"""The offline audit of documents: lint, secrets, drift from the rendered ones, expectations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from cml_iam.audit import AuditFinding, Input, Skipped, Spot
from cml_iam.check._expected import decided_here, expectation_findings, matrix_of
from cml_iam.check._texts import lint_many, secrets_in, with_excerpts
from cml_iam.check.answer import Answer, trimmed
from cml_iam.check.checks import AUDIT_FILES, Check, answers, fact, failed, not_made
from cml_iam.check.files import Content, InputFile, Policy, content_of, in_force
from cml_iam.errors import DocumentError, InputError, UnsupportedError
from cml_iam.expectations import Judgement
from cml_iam.lint import JUDGED_AS, Kind, Severity
from cml_iam.policy import PolicyDocument, attachment_problems, parse_policy
from cml_iam.render import DOCUMENTS, Profile, render_document, render_limits, render_parts
from cml_iam.report import plural
from cml_iam.site import Site

_NO_POLICY: Final = (
    "no policy found: looked for a `Statement` in .json files and in JSON blocks of Markdown, in"
    " YAML, CloudFormation templates and Terraform plans"
)
_NAME_THEM: Final = "name files or folders with policies, or skip the check: --skip lint"
_AS_DEPLOYED: Final = (
    "give the template's parameters with --parameter, or give the deployed policies as JSON"
)


@dataclass(frozen=True)
class Offline:
    """An audit of documents: files, the site, and which of its policies is in force.

    With *together*, the identity-based policies are judged as attached to one principal.
    *processes* is the number of processes that may share the work. If *site_file* is among the
    files, it stands for the documents that the site renders. *parameters* are the values of
    template parameters. Everything is read once.
    """

    files: tuple[InputFile, ...] = ()
    site: Site | None = None
    profile: Profile = "hardened"
    together: bool = False
    processes: int = 1
    site_file: Path | None = None
    parameters: Mapping[str, str] = field(default_factory=dict)

    @fact
    def contents(self) -> Mapping[str, Content]:
        """The content of each file, by its name."""
        alone = len(self.files) == 1
        return {
            file.name: content_of(file, self.site, alone=alone, parameters=self.parameters)
            for file in self.files
        }

    @fact
    def policies(self) -> Sequence[Policy]:
        """The policies in the files."""
        return [policy for content in self.contents.values() for policy in content.policies]

    @fact
    def subjects(self) -> Sequence[Policy]:
        """The policies to judge: those in the files or, without files, the rendered ones."""
        if self.site and (not self.files or (not self.policies and self._names_site())):
            return _rendered(self.site, self.profile)
        return self.policies

    def _names_site(self) -> bool:
        path = self.site_file.resolve() if self.site_file else None
        return any(Path(file.name).resolve() == path for file in self.files)

    @property
    def read(self) -> Sequence[InputFile]:
        """The files that could be read."""
        return [file for file in self.files if file.unread is None]

    @fact
    def in_force(self) -> Sequence[Policy]:
        """The manager's policies in the files; if there are none, the rendered one applies."""
        return in_force(self.policies, self.profile)

    @property
    def name(self) -> str:
        """The name of the manager's policy in findings."""
        return self.in_force[0].file if self.in_force else f"{self.profile} (rendered)"

    @fact
    def documents(self) -> tuple[PolicyDocument, ...]:
        """The manager's policy; raises UnsupportedError if a part is open or cannot be read."""
        assert self.site is not None  # noqa: S101 - nothing is expected without a site
        files = self.in_force
        if not files:
            return _documents(self.site, self.profile)
        read = read_policies(files, self.site, self.parameters)
        if len(read) == len(files):
            return read
        if any(file.kept and file.kept.template for file in files):
            reason = "it cannot be read, or its file leaves a part of it open"
            raise UnsupportedError(reason, remedy=_AS_DEPLOYED)
        raise UnsupportedError("the policy cannot be read", remedy="fix what lint found in it")


def audit_documents(scene: Offline) -> Answer:
    """Audit the files or, without any, what the site renders; makes no calls.

    A check without a file or site to work on is not made. Without both, raises InputError.
    """
    if scene.site is None and not scene.files:
        raise InputError("nothing to audit", remedy="give FILES, or a site file: --site")
    before = Answer(
        inputs=tuple(Input(file.name, "file", file.sha256) for file in scene.read),
        passed_over=tuple(
            Skipped(name, content.skipped)
            for name, content in scene.contents.items()
            if content.skipped
        ),
    )
    whole = answers(AUDIT_FILES, scene, before=before)
    whole = replace(whole, findings=_once(whole.findings, scene))
    texts = {policy.name: policy.text for policy in scene.subjects}
    texts |= {file.name: file.text for file in scene.read}
    policies = "\n".join(policy.text for policy in scene.subjects)
    return with_excerpts(trimmed(whole, policies), texts)


def _without_site(check: Check) -> Answer:
    remedy = f"name it with --site, or skip the check: --skip {check.id}"
    return check.not_checked("no site file that defines what must hold", remedy)


def read_policies(
    policies: Sequence[Policy], site: Site, parameters: Mapping[str, str]
) -> tuple[PolicyDocument, ...]:
    """Return the documents of *policies* that can be read; lint reports the others."""
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
    # Loaded here, because most files are plain JSON and do not need it.
    from cml_iam.sources import document_of, pseudo_of

    return document_of(policy.kept, {**parameters, **pseudo_of(site.account, site.partition)})


def _rendered(site: Site, profile: Profile) -> list[Policy]:
    """Return the parts of the site's policy, and its limits."""
    parts = render_parts(site, profile)
    name = f"{profile} (rendered)"
    policies = [
        Policy(name if len(parts) == 1 else f"{name} {number}", part.text, part.kind, profile)
        for number, part in enumerate(parts, start=1)
    ]
    policies += [
        Policy(f"{role} (rendered)", part.text, part.kind, role)
        for role, part in render_limits(site).items()
    ]
    return policies


def lint(check: Check, scene: Offline, _before: Answer) -> Answer:
    """Judge the policies by lint's rules; counts as not made if a file cannot be read."""
    policies = scene.subjects
    findings: list[AuditFinding] = []
    kinds: dict[Kind, list[Policy]] = {}
    for policy in policies:
        kinds.setdefault(policy.kind, []).append(policy)
    for kind, group in kinds.items():
        together = scene.together and kind == "identity"
        findings += lint_many(check, group, kind, together=together, processes=scene.processes)
    order = {policy.file: number for number, policy in enumerate(policies)}
    findings.sort(
        key=lambda finding: (order.get(finding.spot.file or "", 0), finding.spot.line or 0)
    )
    others = [f"{len(kinds[kind])} as {JUDGED_AS[kind]}" for kind in kinds if kind in JUDGED_AS]
    detail = "; ".join((plural(len(policies), "policy"), *others)) if policies else ""
    result = check.passed(len(policies), detail)
    if not policies:
        result = not_made(result, _NO_POLICY, _NAME_THEM)
    unread = [
        *(problem for content in scene.contents.values() for problem in content.unread),
        *(problem for policy in scene.policies for problem in policy.open),
    ]
    if unread:
        parts = plural(len(unread), "part")
        reason = f"{parts} of the policies cannot be read and are listed as not judged"
        result = not_made(result, reason, _AS_DEPLOYED)
    over = tuple(
        Skipped(str(problem.place) if problem.place else "<policy>", problem.message)
        for problem in unread
    )
    return Answer(checks=(result,), findings=tuple(findings), passed_over=over)


def secrets(check: Check, scene: Offline, _before: Answer) -> Answer:
    """Look through every file for access keys."""
    files = scene.read
    if not files:
        return Answer()
    findings = (finding for file in files for finding in secrets_in(check, file))
    return check.answer(len(files), plural(len(files), "file"), None, findings)


def file_drift(check: Check, scene: Offline, _before: Answer) -> Answer:
    """Compare each file that is named like a document of the site with the rendered one."""
    site = scene.site
    if site is None:
        return _without_site(check)
    roles = dict.fromkeys(policy.role for policy in scene.policies if policy.role)
    if not roles:
        return Answer()
    from cml_iam.check._meaning import compared  # slow to load, and seldom needed

    many = f"{len(roles)} compared: {', '.join(map(str, roles))}"
    parts = [check.answer(len(roles), many)]
    for role in roles:
        files = [policy for policy in scene.policies if policy.role == role]
        there = read_policies(files, site, scene.parameters)
        rendered = _documents(site, scene.profile if role == "policy" else role)
        if len(there) < len(files) or not rendered:
            continue  # lint reports why it cannot be read; or the site does not render it
        spot = Spot(file=files[0].name)
        parts.append(compared(check, rendered, there, spot, _named(files), site.partition))
    return sum(parts, Answer())


def _documents(site: Site, role: str) -> tuple[PolicyDocument, ...]:
    try:
        if role in ("base", "hardened"):
            return tuple(part.document for part in render_parts(site, role))  # type: ignore[arg-type] # one of the two
        return (render_document(site, role).document,)
    except InputError:
        return ()


def _named(files: Sequence[Policy]) -> str:
    return ", ".join(f"`{file.name}`" for file in files)


def expectations(check: Check, scene: Offline, before: Answer) -> Answer:
    """Check the site's expectations on the manager's policy; report unexplained failures."""
    if scene.site is None:
        return _without_site(check)
    whose = _named(scene.in_force) or f"the {scene.profile} policy the site renders"
    done, asker = decided_here(scene.site, scene.documents)
    failures = [
        judgement
        for judgement in done.failed
        if not _drifted(before, scene.name) and not _by_lint(judgement, before.findings, scene.name)
    ]
    number, wrong = len(done.judgements), len(done.failed)
    result = check.passed(number, f"{number} checked against {whose}, {wrong} do not hold")
    return Answer(
        checks=(failed(result) if wrong else result,),
        findings=expectation_findings(check, failures, asker, Spot(file=scene.name)),
        matrices=(matrix_of(done, asker),),
    )


def promises(check: Check, scene: Offline, before: Answer) -> Answer:
    """Prove the site's promises for its policy in files; `policy prove` does for rendered ones."""
    if scene.profile == "base":  # the base policy promises no restriction
        return Answer()
    if scene.site is None:
        return _without_site(check)
    expected = next(result for result in before.checks if result.id == "expectations")
    if not scene.in_force or expected.state == "not checked":
        return Answer()
    from cml_iam.check._meaning import proved
    from cml_iam.prove import Policies

    explained = expected.state == "failed" or _drifted(before, scene.name)
    policies, spot = Policies(scene.documents), Spot(file=scene.name)
    return proved(check, scene.site, policies, spot, explained=explained)


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


def _once(findings: Sequence[AuditFinding], scene: Offline) -> tuple[AuditFinding, ...]:
    """Remove lint findings about statements whose fault another finding already reports.

    If a statement of ours was changed, the change is the only fault. If a statement breaks an
    expectation, advice on it is not a second fault.
    """
    drifted = {finding.spot.file for finding in findings if finding.check == "file-drift"}
    ours = _sids(scene) if drifted else frozenset()
    broken = {
        (finding.spot.file, label)
        for finding in findings
        if finding.check in ("expectations", "promises")
        for ask in finding.witness
        for label in ask.statements
    }

    def is_told(finding: AuditFinding) -> bool:
        file, statement = finding.spot.file, finding.spot.statement
        if finding.severity is Severity.INFO and (file, statement) in broken:
            return True
        return file in drifted and statement in ours

    return tuple(finding for finding in findings if finding.check != "lint" or not is_told(finding))


def _sids(scene: Offline) -> frozenset[str | None]:
    assert scene.site is not None  # noqa: S101 - only a site has documents to drift from
    names = [name for name in DOCUMENTS if name != "base" or scene.profile == "base"]
    return frozenset(
        statement.sid
        for name in names
        for document in _documents(scene.site, name)
        for statement in document.statements
        if statement.sid
    )
