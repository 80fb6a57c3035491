"""Waivers: what is accepted is shown as such; what is wrong with a waiver is a finding."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, date, datetime
from importlib import import_module
from inspect import signature
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cml_iam.audit import Check, Input, Report, Spot, State, audit_rules
from cml_iam.audit.write import write_report
from cml_iam.check.answer import Answer
from cml_iam.check.checks import CHECKS as ALL_CHECKS
from cml_iam.check.checks import WAIVERS, check_named
from cml_iam.check.report import make_report, read_waivers
from cml_iam.lint import Severity
from cml_iam.located import parse_toml
from cml_iam.site import parse_site
from tests.conftest import Ran

NOW = datetime(2026, 11, 23, 23, 59, tzinfo=UTC)
ARN = "arn:aws:logs:us-east-1:111122223333:log-group:cml-cloudtrail"
ALARMS = check_named("alarms").finding(
    "CML822", "no alarms", Spot(resource=ARN, account="111122223333")
)
IN_FILE = check_named("file-drift").finding(
    "CML704", "wider", Spot(file="policies/a[1].json", line=3, column=5)
)
SITE = '[account]\nid = "111122223333"\n'


def waiver(**changed: str | None) -> str:
    values: dict[str, str | None] = {
        "finding": '"CML822"',
        "place": '"*"',
        "reason": '"later"',
        "owner": '"platform"',
        "expires": "2026-11-23",
    } | changed
    lines = [f"{name} = {value}" for name, value in values.items() if value is not None]
    return "[[waivers]]\n" + "\n".join(lines) + "\n"


def check(id_: str, state: State = "passed", account: str | None = None) -> Check:
    return Check(id_, id_, "principal", state, account=account)


CHECKS = (
    check("file-drift"),
    *(check(each, account="111122223333") for each in ("drift", "alarms", "trail")),
)


def reported(
    *waivers: str, checks: tuple[Check, ...] = CHECKS, files: tuple[str, ...] = ()
) -> Report:
    text = SITE + "".join(waivers)
    parse_site(text)  # the site file stays one that every other command takes
    given = read_waivers(parse_toml(text, "cml-iam.toml"), "cml-iam.toml")
    part = Answer(
        findings=(ALARMS, IN_FILE),
        checks=checks,
        inputs=tuple(Input(file, "file", "0") for file in files),
    )
    return make_report(NOW, [part], waivers=given)


def rules(report: Report) -> list[str]:
    return [each.rule for each in report.open]


def test_a_waived_finding_is_shown_as_such_and_fails_nothing() -> None:
    report = reported(waiver(), waiver(finding='"CML704"', place='"policies/*"'))

    assert report.open == ()
    assert report.conclusion(Severity.INFO) == "clean"
    waived = {finding.rule: finding.waiver for finding in report.findings}
    assert waived["CML822"] is not None
    assert waived["CML822"].owner == "platform"
    assert waived["CML822"].expires == date(2026, 11, 23)
    of_waivers = [(each.state, each.asked) for each in report.checks if each.id == "waivers"]
    assert of_waivers == [("passed", 2)]


@pytest.mark.parametrize(
    ("place", "covers"),
    [
        ("*", True),
        ("policies/*.json", True),
        ("policies/*.json:3:*", True),
        ("policies/a[1].json:3:5", True),
        ("policies/a1.json:3:5", False),
        ("policies/a[1].json:4:*", False),
        ("policies", False),
        ("policies/a[1].jso?", False),
    ],
)
def test_a_place_is_a_pattern_with_stars_alone(place: str, covers: bool) -> None:
    report = reported(waiver(finding='"CML704"', place=json.dumps(place)))

    assert ("CML704" not in rules(report)) is covers


def test_an_account_can_be_the_place() -> None:
    assert "CML822" not in rules(reported(waiver(place='"111122223333"')))
    assert "CML822" not in rules(reported(waiver(place=f'"{ARN}"')))
    assert "CML822" in rules(reported(waiver(place='"444455556666"')))


@pytest.mark.parametrize(
    "spot",
    [
        Spot(file="policies/a[1].json", line=3, column=5, statement="LaunchWorkers"),
        Spot(file="policies/a.json", statement="statement 2"),
        Spot(file="policies/a.json"),
        Spot(resource=ARN, account="111122223333"),
        Spot(resource=ARN, account="444455556666", statement="LaunchWorkers"),
        Spot(resource="AKIAIOSFODNN7EXAMPLE", account="111122223333"),
        Spot(account="111122223333"),
    ],
    ids=str,
)
def test_a_place_copied_from_a_report_is_that_place(spot: Spot) -> None:
    elsewhere = Spot(resource="other", account="777788889999")
    alarms = check_named("alarms")
    finding = alarms.finding("CML822", "no alarms", spot)
    other = alarms.finding("CML822", "no alarms", elsewhere)
    unwaived = make_report(NOW, [Answer(findings=(finding,))])
    lines = write_report(unwaived, "text", width=500).splitlines()
    (title,) = [line for line in lines if "CML822" in line]
    text = SITE + waiver(place=json.dumps(title.partition(" at ")[2]))

    given_ = read_waivers(parse_toml(text, "s"), "s")
    report = make_report(NOW, [Answer(findings=(finding, other))], waivers=given_)

    assert [each.waiver is not None for each in report.findings] == [
        each.spot == spot for each in report.findings
    ]


def test_a_waiver_holds_through_its_last_day_and_no_longer() -> None:
    report = reported(waiver(expires="2026-11-22"))

    assert rules(report) == ["CML704", "CML822", "CML901"]
    finding = report.findings[-1]
    assert (finding.spot.line, finding.severity) == (3, Severity.WARNING)
    assert "platform" in finding.message
    assert rules(reported(waiver(expires="2026-11-23"))) == ["CML704"]


def test_a_waiver_of_nothing_is_a_finding() -> None:
    report = reported(waiver(finding='"CML821"'))

    assert rules(report) == ["CML704", "CML822", "CML903"]


FILES = ("policies/a.json", "policies/b.json")


@pytest.mark.parametrize(
    ("finding", "place", "checks", "files", "unused"),
    [
        ("CML821", "*", (check("trail"),), (), True),
        ("CML821", "*", (check("lint"),), (), False),
        ("CML821", "*", (check("trail", "not checked"),), (), False),
        ("CML821", "*", (check("trail"), check("trail", "not checked")), (), False),
        ("CML821", "111122223333", (check("trail", account="111122223333"),), (), True),
        ("CML821", "111122223333", (check("trail", account="444455556666"),), (), False),
        ("CML704", "*", (check("file-drift"),), FILES, False),
        ("CML704", "*", (check("file-drift"), check("drift")), FILES, True),
        ("CML704", "arn:aws:iam::*", (check("file-drift"),), FILES, False),
        ("CML704", "arn:aws:iam::*", (check("drift"),), (), True),
        ("CML704", "policies/b.json:3:*", (check("file-drift"),), FILES, True),
        ("CML601", "policies/b.json:3:5 [Run]", (check("lint"),), FILES, True),
        ("CML601", "policies/*.json", (check("lint"),), FILES, True),
        ("CML601", "policies/c.json", (check("lint"),), FILES, False),
        ("CML601", "*", (check("lint"),), FILES, True),
        ("CML601", "*", (check("lint"),), (), True),
        ("CML601", "*", (check("trail"),), (), False),
        ("CML901", "*", (), (), True),
    ],
)
def test_a_waiver_is_unused_only_where_what_it_waives_was_looked_for(
    finding: str, place: str, checks: tuple[Check, ...], files: tuple[str, ...], unused: bool
) -> None:
    text = SITE + waiver(finding=json.dumps(finding), place=json.dumps(place))
    inputs = tuple(Input(file, "file", "0") for file in files)
    given_ = read_waivers(parse_toml(text, "s"), "s")

    report = make_report(NOW, [Answer(checks=checks, inputs=inputs)], waivers=given_)

    assert ("CML903" in rules(report)) is unused


def test_every_check_has_a_function_of_its_name_and_says_what_it_costs() -> None:
    ids = [each.id for each in ALL_CHECKS]
    assert len(ids) == len(set(ids))
    for each in ALL_CHECKS:
        module = import_module(f"cml_iam.check.{each.module}")
        assert list(signature(getattr(module, each.id.replace("-", "_"))).parameters)[:2] == [
            "check",
            "scene",
        ]
        assert (each.role is None) == (each.calls == "none"), each.id
        assert set(each.needs) <= set(ids)


def test_every_rule_of_the_audit_has_checks_that_find_it() -> None:
    found_by = [rule for each in (*ALL_CHECKS, WAIVERS) for rule in each.finds]

    assert set(found_by) == set(audit_rules())


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"reason": None}, "`reason` is missing"),
        ({"owner": '""'}, "`owner` is missing"),
        ({"expires": None}, "`expires` is missing"),
        ({"expires": '"2026-12-01"'}, "`expires` must be a date without quotes"),
        ({"expires": "2026-12-01T00:00:00Z"}, "`expires` must be a date without quotes"),
        ({"finding": '"CML999"'}, "there is no finding `CML999`"),
        ({"finding": "822"}, "`finding` must be a string"),
        ({"until": "2026-12-01"}, "a waiver has no field `until`"),
    ],
    ids=str,
)
def test_a_malformed_waiver_waives_nothing_and_is_a_finding(
    changed: dict[str, str | None], said: str
) -> None:
    report = reported(waiver(**changed))

    assert rules(report) == ["CML704", "CML822", "CML902"]
    finding = next(each for each in report.findings if each.rule == "CML902")
    assert said in finding.message
    assert finding.spot.file == "cml-iam.toml"


def test_what_is_wrong_with_waivers_cannot_be_waived() -> None:
    report = reported(waiver(expires="2020-01-01"), waiver(finding='"CML901"'))

    assert "CML901" in rules(report)


@given(st.dictionaries(st.text(max_size=8), st.integers() | st.text(max_size=8) | st.booleans()))
def test_whatever_a_waiver_says_the_audit_goes_on(raw: dict[str, object]) -> None:
    from cml_iam.located import Located

    text = SITE + waiver()
    parsed = parse_toml(text, "s")
    value = {**parsed.value, "waivers": [raw]}
    given_ = read_waivers(Located(value, parsed.source, parsed.values, parsed.names), "s")

    report = make_report(NOW, [Answer(findings=(ALARMS,))], waivers=given_)

    assert "CML902" in rules(report)


def test_the_command_line_takes_the_waivers_of_the_site_file(
    cml_iam: Callable[..., Ran], tmp_path: Path
) -> None:
    restricted = SITE + '[restrict]\nregions = ["us-east-1"]\n'
    tomorrow = "2999-01-01"
    (tmp_path / "cml-iam.toml").write_text(
        restricted + waiver(finding='"CML301"', expires=tomorrow)
    )

    ran = cml_iam("audit", "-o", "json")

    said = json.loads(ran.out)
    assert ran.code == 3
    assert [finding["rule"] for finding in said["findings"]] == ["CML903"]
