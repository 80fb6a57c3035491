"""The audit of files: all the faults of the documented policies, each once, and nothing else."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from cml_iam.audit import Report, audit_rules
from cml_iam.check.documents import Offline, audit_documents
from cml_iam.check.files import read_files
from cml_iam.check.report import make_report
from cml_iam.errors import InputError
from cml_iam.lint import Severity, lint_rules
from cml_iam.render import DOCUMENTS, render_document
from cml_iam.site import Restrictions, Site, Tag
from tests.conftest import SHARED, Ran

SPEC = SHARED / "spec" / "aws-iam-setup.md"
NOW = datetime(2026, 11, 23, tzinfo=UTC)
needs_spec = pytest.mark.skipif(not SPEC.is_file(), reason="the documentation is not here")

REGION, TAG = "EC2InstanceManagementRegionRestricted", "EC2InstanceManagementTagRestricted"
TYPES, MANAGE, TAGS = "EC2RunInstancesRestricted", "EC2InstanceManagement", "EC2TagManagement"

FAULTS = {
    # What each document really has, by the numbers of the problems known of them: P1 the tag gate
    # is open, P2 restricts nothing, P3 cannot launch, P4 writes everywhere, P5 no health check,
    # P6 a type pattern admits metal.
    "1-base": {("CML601", MANAGE), ("CML601", TAGS)},  # P4
    "2-region": {("CML402", REGION)},  # P5
    "3-tag": set(),
    "4-run": {("CML401", TYPES), ("CML715", TYPES)},  # P3, P6
    "5-trust": set(),
    "6-base-and-hardening": {
        ("CML301", REGION),  # P2
        ("CML301", TAG),
        ("CML301", TYPES),
        ("CML601", MANAGE),
        ("CML601", TAGS),
        ("CML715", TYPES),
    },
    "7-hardening": {
        ("CML501", TAG),  # P1
        ("CML503", TAG),
        ("CML401", TYPES),
        ("CML601", TAGS),
        ("CML715", TYPES),
    },
}


def documented() -> list[dict[str, Any]]:
    blocks = SPEC.read_text("utf-8").split("```json\n")[1:]
    return [json.loads(block.partition("```")[0]) for block in blocks]


@pytest.fixture
def policies(tmp_path: Path) -> Path:
    """The documented policies as files: alone, added to the base, and in the place of it."""
    base, region, tag, types, trust = documented()
    rest = [each for each in base["Statement"] if each["Sid"] != MANAGE]
    written = {
        "1-base": base["Statement"],
        "2-region": [region],
        "3-tag": [tag],
        "4-run": [types],
        "5-trust": trust["Statement"],
        "6-base-and-hardening": [*base["Statement"], region, tag, types],
        "7-hardening": [*rest, tag, types],
    }
    folder = tmp_path / "policies"
    folder.mkdir()
    for name, statements in written.items():
        document = {"Version": "2012-10-17", "Statement": statements}
        (folder / f"{name}.json").write_text(json.dumps(document, indent=2))
    return folder


def audited(*paths: Path, site: Site | None = None, **changed: Any) -> Report:
    part = audit_documents(Offline(read_files(paths), site, **changed))
    return make_report(NOW, [part])


def found(report: Report, name: str) -> list[tuple[str, str | None]]:
    return sorted(
        (finding.rule, finding.spot.statement)
        for finding in report.findings
        if finding.spot.file and Path(finding.spot.file).stem == name
    )


@needs_spec
@pytest.mark.parametrize("name", FAULTS)
def test_the_documented_policies_have_their_faults_once_and_no_other(
    policies: Path, name: str
) -> None:
    report = audited(policies)

    assert found(report, name) == sorted(FAULTS[name], key=str)


def test_a_statement_alone_is_not_taken_for_the_whole_policy(site: Site, tmp_path: Path) -> None:
    text = '{"Effect": "Allow", "Action": "ec2:DescribeTags", "Resource": "*"}'
    file = tmp_path / "run.md"
    file.write_text(f"```json\n{text}\n```\n", "utf-8")

    report = audited(file, site=site)

    assert report.findings == ()
    (check,) = [each for each in report.checks if each.id == "expectations"]
    assert "the site renders" in check.detail


@pytest.mark.parametrize("form", ["a statement", "a list of statements"])
def test_a_file_with_statements_alone_is_a_fault_in_the_words_of_lint(
    cml_iam: Callable[..., Ran], tmp_path: Path, form: str
) -> None:
    statement = {"Effect": "Allow", "Action": "ec2:RunInstances", "Resource": "*"}
    value = statement if form == "a statement" else [statement]
    (tmp_path / "run.json").write_text(json.dumps(value), "utf-8")

    audit = cml_iam("audit", ".", *(f"--skip={each}" for each in ONLY_OF_A_SITE))
    lint = cml_iam("policy", "lint", "run.json")
    prove = cml_iam("policy", "prove", "run.json", "--never", "ec2:RunInstances on *")

    assert (audit.code, lint.code, prove.code) == (3, 3, 2)
    for each in audit.out, lint.out, prove.err:
        assert f"this is {form}, not a policy" in each
        assert "wrap it: " in each


@needs_spec
def test_every_proven_fault_comes_with_a_request_and_a_remedy(policies: Path) -> None:
    report = audited(policies)

    assert all(finding.remedy and finding.page and finding.spot.line for finding in report.findings)
    shown = {finding.rule for finding in report.findings if finding.witness}
    assert shown >= {"CML301", "CML401", "CML402", "CML501", "CML503", "CML715"}
    assert report.conclusion() == "findings"


@needs_spec
def test_the_documentation_itself_can_be_audited() -> None:
    """The places are those of the Markdown; the printed key pair is found, and not shown."""
    report = audited(SPEC)

    text = SPEC.read_text("utf-8").splitlines()
    for finding in report.findings:
        assert finding.spot.line is not None
        if finding.spot.statement and finding.rule == "CML601":
            assert "{" in text[finding.spot.line - 1]
    (key,) = [finding for finding in report.findings if finding.rule == "CML807"]
    assert "AKIAIOSFODNN7EXAMPLE" in text[(key.spot.line or 0) - 1]
    assert key.severity is Severity.INFO
    assert "wJalr" not in repr(report)
    assert {finding.rule for finding in report.findings} == {
        "CML601",
        "CML402",
        "CML401",
        "CML715",
        "CML807",
    }


@needs_spec
def test_taken_together_the_snippets_restrict_nothing(policies: Path) -> None:
    files = [policies / f"{name}.json" for name in ("1-base", "2-region", "3-tag", "4-run")]

    report = audited(*files, together=True)

    assert Counter(finding.rule for finding in report.findings)["CML301"] == 3


def test_what_the_site_renders_is_clean(site: Site, tmp_path: Path) -> None:
    for name in DOCUMENTS:
        try:
            (tmp_path / f"{name}.json").write_text(render_document(site, name).text)
        except InputError:
            continue

    report = audited(tmp_path, site=site)

    rules = {(finding.rule, finding.spot.file) for finding in report.findings}
    assert rules == {("CML601", str(tmp_path / "base.json"))}
    assert report.conclusion() == "clean"
    assert {check.state for check in report.checks} == {"passed"}
    assert report.matrices[0].how == "offline"


def test_without_files_what_the_site_renders_is_judged(site: Site) -> None:
    report = audited(site=site)

    assert report.findings == ()
    assert report.conclusion(Severity.INFO) == "clean"
    (matrix,) = report.matrices
    assert all(cell.met and cell.asks for cell in matrix.cells)


def test_the_base_policy_in_force_breaks_the_restrictions_once(site: Site) -> None:
    report = audited(site=site, profile="base")

    assert [finding.rule for finding in report.findings] == ["CML702"] * len(report.findings)
    assert report.findings
    assert all(finding.witness for finding in report.findings)


@pytest.mark.parametrize(
    ("sid", "key", "rule"),
    [
        ("OperateWorkers", "aws:ResourceTag/ManagedBy", "CML704"),
        ("ReadMetrics", "aws:RequestedRegion", "CML704"),
        ("LaunchInstance", "ec2:InstanceType", "CML704"),
    ],
)
def test_a_condition_left_out_of_a_file_is_one_finding(
    site: Site, tmp_path: Path, sid: str, key: str, rule: str
) -> None:
    document = json.loads(render_document(site, "hardened").text)
    statement = next(each for each in document["Statement"] if each["Sid"] == sid)
    for operator in list(statement["Condition"]):
        statement["Condition"][operator].pop(key, None)
        if not statement["Condition"][operator]:
            del statement["Condition"][operator]
    if not statement["Condition"]:
        del statement["Condition"]
    path = tmp_path / f"{site.policy}.json"
    path.write_text(json.dumps(document, indent=2))

    report = audited(path, site=site)

    assert [finding.rule for finding in report.findings] == [rule]
    assert report.findings[0].witness
    assert report.changes
    assert any(cell.met is False for cell in report.matrices[0].cells)


def test_a_statement_taken_out_of_a_file_is_one_finding(site: Site, tmp_path: Path) -> None:
    document = json.loads(render_document(site, "hardened").text)
    document["Statement"] = [e for e in document["Statement"] if e["Sid"] != "OperateWorkers"]
    path = tmp_path / "hardened.json"
    path.write_text(json.dumps(document))

    report = audited(path, site=site)

    assert [finding.rule for finding in report.findings] == ["CML705"]


def test_the_same_in_another_order_is_no_drift(site: Site, tmp_path: Path) -> None:
    document = json.loads(render_document(site, "hardened").text)
    document["Statement"].reverse()
    path = tmp_path / "hardened.json"
    path.write_text(json.dumps(document))

    assert audited(path, site=site).findings == ()


def test_what_is_no_policy_is_passed_over_in_a_folder_and_judged_by_name(tmp_path: Path) -> None:
    (tmp_path / "package.json").write_text('{"name": "x"}')
    (tmp_path / "broken.json").write_text('{"Statement": [')

    report = audited(tmp_path)

    assert [(finding.rule, Path(finding.spot.file or "").name) for finding in report.findings] == [
        ("CML101", "broken.json")
    ]
    assert {finding.rule for finding in audited(tmp_path / "package.json").findings} == {"CML102"}


def test_a_policy_that_cannot_be_read_is_not_judged_as_if_it_were(
    site: Site, tmp_path: Path
) -> None:
    path = tmp_path / "hardened.json"
    path.write_text('{"Version": "2012-10-17"}')

    report = audited(path, site=site)

    assert [each.id for each in report.unchecked] == ["expectations"]
    assert report.conclusion() == "findings"
    assert replace(report, findings=()).conclusion() == "incomplete"


def test_a_key_in_a_file_is_found_and_never_shown(tmp_path: Path) -> None:
    key, secret = "AKIA" + "Q3EGTJ5MCX7KYZ2W", "a1B2" * 10
    (tmp_path / "notes.md").write_text(f"id: {key}\n\nsecret: {secret}\n")
    (tmp_path / "ids.txt").write_text(f"{key}\n")
    (tmp_path / "digest.txt").write_text(f"{key} {'0a' * 20}\n")

    report = audited(tmp_path)

    ((rule, file),) = [
        (finding.rule, Path(finding.spot.file or "").name) for finding in report.findings
    ]
    assert (rule, file) == ("CML807", "notes.md")
    assert key in report.findings[0].message
    assert secret not in repr(report)


def test_what_was_read_is_named_by_the_digest_of_its_bytes(tmp_path: Path) -> None:
    (tmp_path / ".env.local").write_bytes(b"A=1\r\n")
    (tmp_path / "image").write_bytes(b"\xff\xfe\x00")

    report = audited(tmp_path)

    ((name, digest),) = [(Path(each.name).name, each.sha256) for each in report.inputs]
    assert name == ".env.local"
    assert digest == hashlib.sha256(b"A=1\r\n").hexdigest()


def test_findings_keep_their_fingerprint_when_lines_move(site: Site, tmp_path: Path) -> None:
    statement = {"Effect": "Allow", "Action": "ec2:*", "Resource": "*"}
    text = json.dumps({"Version": "2012-10-17", "Statement": [statement, statement]}, indent=1)
    path = tmp_path / "p.json"
    path.write_text(text)
    before = audited(path)
    path.write_text("\n\n" + text)
    after = audited(path)

    assert [e.spot.line for e in before.findings] != [e.spot.line for e in after.findings]
    fingerprints = [finding.fingerprint for finding in before.findings]
    assert fingerprints == [finding.fingerprint for finding in after.findings]
    assert len(set(fingerprints)) == len(fingerprints)


def test_ids_are_of_one_rule_only() -> None:
    ids = [*(rule.id for rule in lint_rules()), *audit_rules()]
    names = [*(rule.name for rule in lint_rules()), *(rule.name for rule in audit_rules().values())]

    assert len(set(ids)) == len(ids)
    assert len(set(names)) == len(names)
    assert all(
        rule.page.startswith("https://docs.aws.amazon.com/") for rule in audit_rules().values()
    )


def test_every_check_and_every_rule_stands_in_the_documentation() -> None:
    from cml_iam.check.checks import SKIPPABLE

    page = (Path(__file__).parents[2] / "docs" / "audit.md").read_text("utf-8")

    assert [each for each in SKIPPABLE if f"`{each}`" not in page] == []
    rows = [
        f"| {e.id} | {e.name} | {e.severity.word} | {e.title} |" for e in audit_rules().values()
    ]
    assert [row for row in rows if row not in page] == []


ONLY_OF_A_SITE = ("file-drift", "expectations", "promises")
SCHEMA = {"$schema": "https://json-schema.org/draft/2020-12/schema", "properties": {}}
NOTHING_TO_JUDGE = {
    "an empty folder": {},
    "Terraform": {"main.tf": 'resource "aws_iam_policy" "p" {}\n'},
    "YAML": {"p.yaml": "provider:\n  statements:\n  - Effect: Allow\n    Action: '*'\n"},
    "a template": {"t.yaml": "Resources: {R: {Type: 'AWS::IAM::Role'}}\n# PolicyDocument: none\n"},
    "a template in JSON": {"t.json": '{"AWSTemplateFormatVersion": "2010-09-09", "Resources": {}}'},
    "a plan": {"plan.json": '{"format_version": "1.2", "planned_values": {}}'},
    "a JSON Schema": {"site.schema.json": json.dumps(SCHEMA)},
    "JSON that is something else": {"package.json": '{"name": "x"}', "list.json": "[1]"},
    "null": {"null.json": "null"},
    "prose": {"README.md": "Policies live elsewhere.\n"},
}


@pytest.mark.parametrize("with_site", [False, True])
@pytest.mark.parametrize("kind", NOTHING_TO_JUDGE)
def test_an_audit_that_judged_nothing_is_no_pass(
    cml_iam: Callable[..., Ran], tmp_path: Path, kind: str, with_site: bool
) -> None:
    (tmp_path / "p").mkdir()
    for name, text in NOTHING_TO_JUDGE[kind].items():
        (tmp_path / "p" / name).write_text(text)
    if with_site:
        (tmp_path / "cml-iam.toml").write_text(SITE_TEXT)

    ran = cml_iam("audit", "p")

    assert ran.code == 8, ran.out
    assert "Clean" not in ran.out
    assert "no policy found: looked for a `Statement` in .json files" in " ".join(ran.out.split())


@pytest.mark.parametrize(
    "name",
    [
        "main.tf",
        "p.yaml",
        "t.yaml",
        "t.json",
        "plan.json",
        "site.schema.json",
        "null.json",
        "link.json",
        "p",
    ],
)
def test_what_is_not_judged_is_named_with_the_reason(
    cml_iam: Callable[..., Ran], tmp_path: Path, name: str
) -> None:
    (tmp_path / "p").mkdir()
    files = {file: text for files in NOTHING_TO_JUDGE.values() for file, text in files.items()}
    if name == "link.json":
        (tmp_path / "p" / name).symlink_to("/dev/zero")
    elif name != "p":
        (tmp_path / "p" / name).write_text(files[name])

    said = json.loads(cml_iam("audit", "p", "-o", "json").out)["passed_over"]

    assert [Path(each["name"]).name for each in said] == [name]
    assert said[0]["reason"] in {
        "policies in Terraform code are not judged; pass the plan: `terraform show -json`",
        "it is not a policy: it has no `Statement`",
        "it is a CloudFormation template without a policy",
        "it is a plan or state of Terraform without a policy",
        "it is a JSON Schema",
        "it is not a JSON object",
        "it is a symbolic link, which is not followed",
        "no file in it is read",
    }


@pytest.mark.parametrize("form", ["text", "json", "sarif", "junit", "markdown", "html"])
def test_an_audit_that_judged_only_a_part_does_not_say_clean(
    cml_iam: Callable[..., Ran], tmp_path: Path, form: str
) -> None:
    site = Site(account="111122223333", restrict=Restrictions(regions=("us-east-1",)))
    (tmp_path / "cml-iam.toml").write_text(SITE_TEXT)
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "hardened.json").write_text(render_document(site, "hardened").text)
    whole = cml_iam("audit", "p", "-o", form)
    (tmp_path / "p" / "site.schema.json").write_text(json.dumps(SCHEMA))

    part = cml_iam("audit", "p", "-o", form)

    assert (whole.code, part.code) == (0, 0), part.out
    assert "site.schema.json" in part.out
    assert "JSON Schema" in part.out
    if form == "text":
        assert whole.out.startswith("✔ Clean: 5 checks made\n")
        assert part.out.startswith("✔ Passed in part: 5 checks made; 1 file not judged\n")


def test_without_a_site_what_only_a_site_can_be_asked_is_not_made(
    cml_iam: Callable[..., Ran], tmp_path: Path
) -> None:
    text = '{"Effect": "Allow", "Action": "ec2:DescribeTags", "Resource": "*"}'
    (tmp_path / "p.json").write_text(f'{{"Version": "2012-10-17", "Statement": {text}}}')

    ran = cml_iam("audit", "p.json", "-o", "json")
    skipping = cml_iam("audit", "p.json", *(f"--skip={each}" for each in ONLY_OF_A_SITE))

    lost = [e for e in json.loads(ran.out)["checks"] if e["state"] == "not checked"]
    assert ran.code == 8
    assert [each["id"] for each in lost] == list(ONLY_OF_A_SITE)
    assert {each["reason"] for each in lost} == {"no site file that defines what must hold"}
    assert skipping.code == 0
    assert skipping.out.startswith("✔ Passed in part: 2 checks made; 3 checks left out\n")


def test_the_site_file_among_the_files_stands_for_what_it_renders(
    cml_iam: Callable[..., Ran], tmp_path: Path
) -> None:
    (tmp_path / "cml-iam.toml").write_text(SITE_TEXT)

    ran = cml_iam("audit", "cml-iam.toml", "-o", "json")

    made = {check["id"]: check["state"] for check in json.loads(ran.out)["checks"]}
    assert ran.code == 0
    assert made["lint"] == "passed"


SITE_TEXT = '[account]\nid = "111122223333"\n[restrict]\nregions = ["us-east-1"]\n'


@pytest.mark.parametrize(
    ("document", "fail_on", "code"),
    [
        ("hardened", "warning", 0),
        ("base", "warning", 3),
        ("base", "error", 3),
        ("broken", "error", 3),
    ],
)
def test_the_exit_code_is_the_contract(
    cml_iam: Callable[..., Ran], tmp_path: Path, document: str, fail_on: str, code: int
) -> None:
    site = Site(account="111122223333", restrict=Restrictions(regions=("us-east-1",)))
    (tmp_path / "cml-iam.toml").write_text(SITE_TEXT)
    text = "{" if document == "broken" else render_document(site, document).text
    (tmp_path / f"{site.policy}.json").write_text(text)

    ran = cml_iam("audit", f"{site.policy}.json", "--fail-on", fail_on)

    assert ran.code == code, ran.out


def test_advice_fails_only_where_it_is_asked_to(
    cml_iam: Callable[..., Ran], tmp_path: Path
) -> None:
    site = Site(account="111122223333", restrict=Restrictions(guard_tag=Tag("A", "b")))
    (tmp_path / "base.json").write_text(render_document(site, "base").text)
    skip = [f"--skip={each}" for each in ONLY_OF_A_SITE]

    assert cml_iam("audit", "base.json", *skip).code == 0
    assert cml_iam("audit", "base.json", *skip, "--fail-on", "info").code == 3


def test_without_credentials_it_is_4_and_without_an_answer_5(
    cml_iam: Callable[..., Ran], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cml-iam.toml").write_text(SITE_TEXT)
    assert cml_iam("audit", "--live").code == 4

    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    assert cml_iam("audit", "--live").code == 5


@pytest.mark.parametrize(
    "arguments",
    [
        ("--accounts", "x", "--organization"),
        ("--role", "x"),
        ("--organization", "--manager-profile", "x"),
        ("--skip", "everything"),
    ],
)
def test_options_that_do_not_go_together_are_2(
    cml_iam: Callable[..., Ran], tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    (tmp_path / "cml-iam.toml").write_text(SITE_TEXT)

    assert cml_iam("audit", *arguments).code == 2


def test_nothing_to_audit_is_2(cml_iam: Callable[..., Ran]) -> None:
    ran = cml_iam("audit")

    assert ran.code == 2
    assert "cml-iam init" in ran.err


def test_reports_are_written_in_every_form_at_once_and_anew_the_same(
    cml_iam: Callable[..., Ran], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cml-iam.toml").write_text(SITE_TEXT)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1795392000")
    names = ("r.json", "r.sarif", "r.xml", "r.md", "r.txt")
    outs = [word for name in names for word in ("--out", name)]

    first = cml_iam("audit", "-o", "json", *outs)
    written = {name: (tmp_path / name).read_bytes() for name in names}
    again = cml_iam("audit", "-o", "json", *outs, "--earlier", "r.json")

    assert first.code == 0, first.err
    assert first.out == written["r.json"].decode()
    assert json.loads(first.out)["time"] == "2026-11-23T00:00:00Z"
    said = json.loads(again.out)
    assert said["since"]["new"] == []
    assert said["since"]["gone"] == []


@pytest.mark.parametrize(
    ("name", "said"),
    [("r.html5", "cannot tell the form"), ("none/r.json", "no such folder: `none`")],
)
def test_a_report_that_can_go_nowhere_is_said_before_anything_is_asked(
    cml_iam: Callable[..., Ran], tmp_path: Path, name: str, said: str
) -> None:
    (tmp_path / "cml-iam.toml").write_text(SITE_TEXT)

    ran = cml_iam("audit", "--live", "--endpoint-url", "http://127.0.0.1:9", "--out", name)

    assert ran.code == 2
    assert said in ran.err


def test_the_rules_are_listed(cml_iam: Callable[..., Ran]) -> None:
    said = json.loads(cml_iam("audit", "--rules", "-o", "json").out)

    assert [each["id"] for each in said] == [*(rule.id for rule in lint_rules()), *audit_rules()]
    assert "CML709" in cml_iam("audit", "--rules").out


def test_an_offline_audit_loads_no_aws_library_and_is_quick(tmp_path: Path) -> None:
    (tmp_path / "cml-iam.toml").write_text(SITE_TEXT)
    code = (
        "import sys; from cml_iam.cli._main import run; code = run(['audit', '-o', 'json']);"
        "heavy = {'boto3', 'botocore', 'moto', 'rich', 'jsonschema'} & set(sys.modules);"
        "print(code, sorted(heavy), file=sys.stderr)"
    )

    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)

    assert ran.stderr.splitlines()[-1] == "0 []"


def test_many_policies_are_shared_out_over_processes(
    cml_iam: Callable[..., Ran], tmp_path: Path, site: Site
) -> None:
    document = json.loads(render_document(site, "base").text)
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(110):
        (folder / f"p{number:03}.json").write_text(json.dumps(document))

    one = make_report(NOW, [audit_documents(Offline(read_files([folder])))])
    two = make_report(NOW, [audit_documents(Offline(read_files([folder]), processes=2))])

    assert len(one.findings) == 220
    assert one.findings == two.findings
