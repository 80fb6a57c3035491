"""Whole policies: the documented snippets and their combinations, and policies that are right."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cml_iam.lint import KINDS, Severity, is_complete, lint_policies, lint_text, lint_texts
from cml_iam.lint._lint import MANY
from cml_iam.policy import load_policy
from tests.conftest import without
from tests.lint.documents import EXAMPLES, documents

ROOT = Path(__file__).parents[2]
SHARED = ROOT.parent / "shared"
POLICIES = SHARED / "reference" / "policies"
SPEC = SHARED / "spec" / "aws-iam-setup.md"

needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="reference policies not here")

BASE = ["EC2InstanceManagement", "EC2TagManagement"]
REGION = "EC2InstanceManagementRegionRestricted"
TAG = "EC2InstanceManagementTagRestricted"
TYPES = "EC2RunInstancesRestricted"


def snippets() -> list[dict]:
    return [json.loads(text) for text in re.findall(r"```json\n(.*?)```", SPEC.read_text(), re.S)]


def document(statements: list[dict]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": statements}, indent=2)


def found(text: str) -> list[tuple[str, str | None]]:
    """Return rule and statement of each finding that is not advice on the base policy."""
    return [
        (finding.rule, finding.statement)
        for finding in lint_text(text)
        if not (finding.rule == "CML601" and finding.statement in BASE)
    ]


@needs_shared
def test_the_base_policy_has_advice_only() -> None:
    findings = lint_text(document(snippets()[0]["Statement"]))

    assert [(finding.rule, finding.statement) for finding in findings] == [
        ("CML601", sid) for sid in BASE
    ]
    assert all(finding.severity is Severity.INFO for finding in findings)


@needs_shared
@pytest.mark.parametrize(
    "chosen", [c for n in (1, 2, 3) for c in itertools.combinations((REGION, TAG, TYPES), n)]
)
def test_each_snippet_beside_the_base_policy_restricts_nothing(chosen: tuple[str, ...]) -> None:
    base, *rest = snippets()
    added = [statement for statement in rest if statement.get("Sid") in chosen]
    text = document(base["Statement"] + added)

    assert found(text) == [("CML301", sid) for sid in chosen]
    for finding in (finding for finding in lint_text(text) if finding.rule == "CML301"):
        assert (
            finding.place.line == 1 + text[: text.index(f'"{finding.statement}"')].count("\n") - 1
        )
        assert "`EC2InstanceManagement` (<policy>:4:5)" in finding.message
        [step] = finding.witness
        assert step.outcome == "allowed"


@needs_shared
@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        ({REGION}, [("CML402", REGION)]),
        ({TAG}, []),
        ({TYPES}, [("CML401", TYPES)]),
        ({REGION, TAG}, [("CML402", REGION), ("CML301", TAG)]),
        ({REGION, TYPES}, [("CML402", REGION), ("CML301", TYPES)]),
        ({TAG, TYPES}, [("CML401", TYPES)]),
        ({REGION, TAG, TYPES}, [("CML402", REGION), ("CML301", TAG), ("CML301", TYPES)]),
    ],
)
def test_the_snippets_without_the_base_policy(chosen: set[str], expected: list) -> None:
    statements = [snippet for snippet in snippets() if snippet.get("Sid") in chosen]

    assert found(document(statements)) == expected


@needs_shared
def test_the_snippets_instead_of_the_statement_they_restrict() -> None:
    base, *rest = snippets()
    statements = base["Statement"][1:] + [s for s in rest if s.get("Sid") in {TAG, TYPES}]

    findings = lint_text(document(statements))

    assert [(f.rule, f.statement) for f in findings if f.rule != "CML601"] == [
        ("CML501", TAG),
        ("CML503", TAG),
        ("CML401", TYPES),
    ]
    [gate] = [finding for finding in findings if finding.rule == "CML501"]
    assert [(s.request.action, s.outcome) for s in gate.witness] == [
        ("ec2:TerminateInstances", "implicitDeny"),
        ("ec2:CreateTags", "allowed"),
        ("ec2:TerminateInstances", "allowed"),
    ]
    assert len({step.request.resource for step in gate.witness}) == 1


@needs_shared
def test_the_trust_policy_is_right_as_one_and_wrong_as_an_identity_policy() -> None:
    text = json.dumps(snippets()[4])

    assert lint_text(text) == lint_text(text, kind="trust") == ()
    assert "CML104" in [finding.rule for finding in lint_text(text, kind="identity")]


@needs_shared
@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("hardened.json", "identity"),
        ("hardened.json", "boundary"),
        ("guard_deny.json", "identity"),
        ("guard_deny.json", "scp"),
        ("aux_bootstrap_audit.json", "identity"),
        ("aux_bootstrap_operator.json", "identity"),
        ("aux_bootstrap_security_admin.json", "identity"),
        ("aux_cloudtrail_bucket.json", "resource"),
        ("aux_cloudtrail_to_logs.json", "identity"),
        ("aux_passrole_optional.json", "identity"),
        ("aux_trust_cloudtrail_to_logs.json", "trust"),
        ("aux_trust_ec2.json", "trust"),
        ("aux_trust_ecs_task.json", "trust"),
        ("aux_trust_eks_irsa.json", "trust"),
        ("aux_trust_eks_pod_identity.json", "trust"),
    ],
)
def test_nothing_is_found_in_a_policy_that_is_right(name: str, kind: str) -> None:
    assert lint_text((POLICIES / name).read_text(), name, kind=kind) == ()


@needs_shared
def test_a_guard_of_denies_closes_the_gates_of_the_base_policy() -> None:
    guard = (POLICIES / "guard_deny.json").read_text()
    everything = document([{"Effect": "Allow", "Action": "*", "Resource": "*"}])

    for wide in ((POLICIES / "base.json").read_text(), everything):
        assert lint_texts([("wide", wide), ("guard", guard)], together=True) == ()


@needs_shared
@pytest.mark.parametrize(
    ("sid", "operator", "rules"),
    [
        ("TagOnlyAtLaunch", "StringEquals", {"CML301", "CML501", "CML503"}),
        ("RetagManagedInstances", "Null", {"CML503"}),
        (
            "RetagManagedInstances",
            "ForAllValues:StringNotEqualsIgnoreCase",
            {"CML503"},
        ),
    ],
)
def test_a_condition_that_guards_the_tag_is_missed(
    sid: str, operator: str, rules: set[str]
) -> None:
    hardened = json.loads((POLICIES / "hardened.json").read_text())
    [statement] = [one for one in hardened["Statement"] if one["Sid"] == sid]
    del statement["Condition"][operator]
    if not statement["Condition"]:
        del statement["Condition"]

    assert {finding.rule for finding in lint_text(json.dumps(hardened))} == rules


def test_statements_of_several_documents_launch_together() -> None:
    def allow(*kinds: str) -> str:
        arns = [f"arn:aws:ec2:*:*:{kind}/*" for kind in kinds]
        return document([{"Effect": "Allow", "Action": "ec2:RunInstances", "Resource": arns}])

    halves = [
        ("one", allow("instance", "volume", "network-interface")),
        ("two", allow("image", "subnet", "security-group")),
    ]

    assert [text.rule for text in lint_texts(halves)] == ["CML401", "CML401"]
    assert lint_texts(halves, together=True) == ()


def test_a_broader_allow_in_another_document_is_named_with_its_place() -> None:
    wide = document([{"Effect": "Allow", "Action": "ec2:Stop*", "Resource": "*", "Sid": "Wide"}])
    narrow = document(
        [
            {
                "Effect": "Allow",
                "Action": "ec2:StopInstances",
                "Resource": "*",
                "Condition": {"StringEquals": {"aws:ResourceTag/a": "b"}},
            }
        ]
    )

    findings = lint_texts([("wide.json", wide), ("narrow.json", narrow)], together=True)

    [finding] = [finding for finding in findings if finding.rule == "CML301"]
    assert str(finding.place) == "narrow.json:4:5"
    assert "`Wide` (wide.json:4:5)" in finding.message


def test_a_broader_allow_that_can_never_match_undoes_nothing() -> None:
    path = Path(__file__).parent / "cases/CML302-key-not-of-action/bad-beside-a-live-one.json"

    assert [finding.rule for finding in lint_text(path.read_text())] == ["CML302"]


def test_findings_stand_in_the_order_of_the_files_and_their_lines() -> None:
    bad = document([{"Effect": "Allow", "Action": ["x", "y"], "Resource": "z"}])

    findings = lint_texts([("b.json", bad), ("a.json", "{"), ("c.json", bad)])

    places = [finding.place for finding in findings]
    assert [place.file for place in places] == ["b.json"] * 3 + ["a.json"] + ["c.json"] * 3
    assert [place.line for place in places[:3]] == [7, 8, 10]


def test_a_document_that_cannot_be_read_is_not_called_complete() -> None:
    findings = lint_texts([("bad.json", "{"), ("good.json", document([]))])

    assert not is_complete(findings, "bad.json")
    assert not is_complete(findings, "good.json")  # no statements: breaks the grammar
    assert is_complete(lint_text("{}", "other.json"), "good.json")


@settings(max_examples=300, deadline=None)
@given(st.text(), st.sampled_from(KINDS))
def test_no_text_makes_it_raise(text: str, kind: str) -> None:
    lint_text(text, kind=kind)


TEXTS = st.one_of(
    st.text(max_size=8),
    st.sampled_from(
        ["*", "ec2:*", "ec2:RunInstances", "arn:aws:ec2:*:*:instance/*", "${aws:username}", "arn:"]
    ),
)
VALUES = st.one_of(TEXTS, st.lists(TEXTS, max_size=3), st.booleans(), st.integers())
CONDITIONS = st.dictionaries(
    st.one_of(st.sampled_from(["StringEquals", "Null", "ForAllValues:StringLike"]), TEXTS),
    st.dictionaries(
        st.sampled_from(["aws:TagKeys", "aws:ResourceTag/a", "ec2:Region", "x"]), VALUES
    ),
    max_size=2,
)
STATEMENTS = st.fixed_dictionaries(
    {"Effect": st.sampled_from(["Allow", "Deny"])},
    optional={
        "Sid": TEXTS,
        "Action": VALUES,
        "NotAction": VALUES,
        "Resource": VALUES,
        "NotResource": VALUES,
        "Principal": VALUES,
        "Condition": CONDITIONS,
    },
)


@settings(max_examples=300, deadline=None)
@given(st.lists(STATEMENTS, max_size=3), st.sampled_from(KINDS))
def test_no_policy_makes_it_raise(statements: list[dict], kind: str) -> None:
    text = document(statements)

    for finding in lint_text(text, "p.json", kind=kind):
        assert finding.place is not None
        assert finding.place.file == "p.json"
        assert 1 <= finding.place.line <= text.count("\n") + 1
        json.dumps(finding.as_json())


@pytest.mark.parametrize("count", range(5))
def test_nothing_is_found_in_what_is_rendered_hardened(count: int) -> None:
    from cml_iam.render import render_policy
    from cml_iam.site import RESTRICTIONS, Restrictions, Site, Tag

    site = Site(
        "111122223333",
        restrict=Restrictions(
            regions=("us-east-1", "us-west-2"),
            guard_tag=Tag("ManagedBy", "cml-cloud-manager"),
            instance_types=("m5zn.metal", "c5.*"),
            images={
                "us-east-1": ("ami-0a1b2c3d4e5f60001",),
                "us-west-2": ("ami-0a1b2c3d4e5f60002",),
            },
        ),
    )
    for absent in itertools.combinations(RESTRICTIONS, count):
        rendered = render_policy(without(site, *absent), "hardened")

        findings = lint_text(rendered.text, "rendered")

        assert [finding for finding in findings if finding.severity > Severity.INFO] == []
        if "guard_tag" not in absent:
            assert findings == ()


@pytest.mark.parametrize(
    ("resource", "condition"),
    [
        ("*", {"StringEquals": {"aws:username": []}, "StringLike": {"aws:username": "a*"}}),
        ("*", {"StringLike": {"aws:username": "a*"}, "StringEquals": {"aws:username": []}}),
        (
            "arn:aws:ec2:us-east-1:111122223333:instance/*",
            {"StringEquals": {"aws:RequestedRegion": []}},
        ),
    ],
)
def test_a_condition_without_values_is_said_to_have_none_and_contradicts_nothing(
    resource: str, condition: dict
) -> None:
    statement = {
        "Effect": "Allow",
        "Action": "ec2:StopInstances",
        "Resource": resource,
        "Condition": condition,
    }

    rules = {finding.rule for finding in lint_text(document([statement]))}

    assert "CML204" in rules
    assert "CML306" not in rules


def test_many_policies_are_judged_alike_by_one_process_and_by_two() -> None:
    texts = [
        (f"{number:03}-{path.name}", path.read_text("utf-8"))
        for number, path in enumerate(documents("bad") * 2)
    ]
    assert len(texts) > MANY

    alone = lint_texts(texts)

    assert lint_texts(texts, processes=2) == alone
    assert len({finding.place.file for finding in alone if finding.place}) > MANY


def test_a_resource_of_very_many_wildcards_is_judged() -> None:
    statement = {
        "Effect": "Allow",
        "Action": "ec2:StopInstances",
        "Resource": "*a" * 200,
        "Condition": {"IpAddress": {"aws:SourceIp": "192.0.2.0?24"}},
    }

    assert {finding.rule for finding in lint_text(document([statement]))} >= {"CML204", "CML206"}


def test_the_health_check_is_a_matter_of_managers_alone() -> None:
    def bound(*actions: str) -> str:
        statement = {
            "Effect": "Allow",
            "Action": [f"ec2:{action}Instances" for action in actions],
            "Resource": "arn:aws:ec2:*:111122223333:instance/*",
            "Condition": {"StringEquals": {"aws:RequestedRegion": "eu-west-1"}},
        }
        return document([statement])

    assert [finding.rule for finding in lint_text(bound("Start", "Stop", "Terminate"))] == [
        "CML402"
    ]
    assert lint_text(bound("Start", "Stop")) == ()


def test_of_many_conditions_on_tags_the_first_are_judged() -> None:
    gates = [
        {
            "Effect": "Allow",
            "Action": "ec2:TerminateInstances",
            "Resource": "*",
            "Condition": {"StringEquals": {"aws:ResourceTag/team": f"t{number}"}},
        }
        for number in range(50)
    ]
    tagging = {"Effect": "Allow", "Action": "ec2:CreateTags", "Resource": "*"}

    few, many = (lint_text(document([*gates[:size], tagging])) for size in (31, 50))

    assert sum(finding.rule == "CML501" for finding in few) == 31
    assert not any(finding.rule == "CML110" for finding in few)
    assert sum(finding.rule == "CML501" for finding in many) == 20
    assert [finding.message for finding in many if finding.rule == "CML110"] == [
        "50 conditions on tags are too many; CML501, CML502 and CML503 judge only the first 20, "
        "not this one and those after it"
    ]


def test_a_service_in_capital_letters_is_reported_once() -> None:
    statement = {
        "Effect": "Allow",
        "Action": "lambda:InvokeFunction",
        "Resource": "arn:aws:Lambda:eu-west-1:111122223333:function:example",
    }

    assert [finding.rule for finding in lint_text(document([statement]))] == ["CML206"]


def test_a_document_without_a_text_is_judged_like_its_text() -> None:
    text = (EXAMPLES / "CML402-bad.json").read_text("utf-8")

    found = lint_policies([load_policy(json.loads(text))])

    assert [finding.rule for finding in found] == ["CML402"]
    assert [finding.rule for finding in lint_text(text)] == ["CML402"]


@pytest.mark.parametrize("key", ["aws:SourceOrgIDs", "aws:SourceAccountId", "aws:SourceArns"])
def test_a_misspelt_source_key_is_no_key_of_services(key: str) -> None:
    deny = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": "*",
        "Condition": {"StringNotEquals": {key: "o-a1b2c3d4e5"}},
    }

    assert [finding.rule for finding in lint_text(document([deny]), kind="rcp")] == ["CML203"]
