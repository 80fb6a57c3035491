"""SARIF and JUnit, by the schemas that those who read them use."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from jsonschema import Draft4Validator

from cml_iam.audit import Report, Spot
from cml_iam.audit.write import write_report
from cml_iam.lint import Severity
from tests.audit.write import samples

SCHEMAS = Path(__file__).parent / "schemas"
SARIF = json.loads((SCHEMAS / "sarif-2.1.0-rtm.5.json").read_text("utf-8"))
REPORTS = {
    "full": samples.COMPARED,
    "clean": samples.CLEAN,
    "empty": samples.EMPTY,
    "hostile": samples.hostile(),
}


def sarif(report: Report) -> Any:
    (run,) = json.loads(write_report(report, "sarif"))["runs"]
    return run


class TestSarif:
    @pytest.mark.parametrize("name", REPORTS)
    def test_it_meets_the_schema_of_the_standard(self, name: str) -> None:
        log = json.loads(write_report(REPORTS[name], "sarif"))

        assert not [error.message for error in Draft4Validator(SARIF).iter_errors(log)]

    def test_a_finding_is_a_result_of_its_rule_with_its_region(self) -> None:
        run = sarif(samples.FULL)
        result = run["results"][0]

        assert result["level"] == "error"
        assert run["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == "CML501"
        assert result["locations"][0]["physicalLocation"] == {
            "artifactLocation": {"uri": "policy.json", "uriBaseId": "%SRCROOT%"},
            "region": {"startLine": 22, "startColumn": 7},
        }
        assert "What to do: allow ec2:CreateTags only" in result["message"]["text"]

    def test_the_rules_have_help_and_a_page(self) -> None:
        (rule,) = [r for r in sarif(samples.FULL)["tool"]["driver"]["rules"] if r["id"] == "CML501"]

        assert rule["shortDescription"]["text"].startswith("a tag condition whose tag")
        assert rule["helpUri"].startswith("https://docs.aws.amazon.com/")
        assert "What to do" in rule["help"]["text"]
        assert rule["properties"]["security-severity"] == "8.0"

    def test_the_fingerprint_is_that_of_the_finding_wherever_it_moves(self) -> None:
        moved = replace(samples.GATE, spot=replace(samples.GATE.spot, line=99))
        before = sarif(samples.FULL)["results"][0]
        after = sarif(replace(samples.FULL, findings=(moved,)))["results"][0]

        assert after["partialFingerprints"] == before["partialFingerprints"]
        assert after["locations"] != before["locations"]

    def test_a_waiver_is_a_suppression_with_its_reason(self) -> None:
        waived = [result for result in sarif(samples.FULL)["results"] if result["suppressions"]]

        assert [each["ruleId"] for each in waived] == ["CML601"]
        assert waived[0]["suppressions"] == [
            {
                "kind": "external",
                "status": "accepted",
                "justification": "waived by network-lab until 2027-03-31: lab account",
            }
        ]

    def test_what_was_not_checked_is_an_error_of_a_run_that_did_not_succeed(self) -> None:
        (invocation,) = sarif(samples.FULL)["invocations"]
        told = [
            notification["message"]["text"]
            for notification in invocation["toolExecutionNotifications"]
        ]

        assert invocation["executionSuccessful"] is False
        assert len(told) == 2
        assert "may not call iam:SimulatePrincipalPolicy" in told[0]
        assert "account 444455556666 was not audited" in told[1]
        assert sarif(samples.CLEAN)["invocations"][0]["executionSuccessful"] is True

    def test_what_stands_in_no_file_is_placed_at_the_site_file(self) -> None:
        result = sarif(samples.FULL)["results"][1]
        (location,) = result["locations"]

        assert location["physicalLocation"]["artifactLocation"]["uri"] == "cml-iam.toml"
        assert location["logicalLocations"][0] == {
            "fullyQualifiedName": samples.USER,
            "kind": "resource",
        }

    @pytest.mark.parametrize(
        ("file", "uri"),
        [
            ("policies/a b.json", "policies/a%20b.json"),
            ("./a.json", "a.json"),
            ("a%20b.json", "a%2520b.json"),
            ("<stdin>", "%3Cstdin%3E"),
            ("größe.json", "gr%C3%B6%C3%9Fe.json"),
            ("a:b.json", "a%3Ab.json"),
        ],
    )
    def test_the_place_is_a_relative_uri(self, file: str, uri: str) -> None:
        finding = replace(samples.GATE, spot=Spot(file, 1, 1))
        (result,) = sarif(replace(samples.FULL, findings=(finding,)))["results"]
        location = result["locations"][0]["physicalLocation"]["artifactLocation"]

        assert location == {"uri": uri, "uriBaseId": "%SRCROOT%"}

    def test_an_absolute_path_is_a_file_uri(self) -> None:
        finding = replace(samples.GATE, spot=Spot("/srv/a.json", 1, 1))
        (result,) = sarif(replace(samples.FULL, findings=(finding,)))["results"]

        location = result["locations"][0]["physicalLocation"]["artifactLocation"]
        assert location == {"uri": "file:///srv/a.json"}

    def test_the_steps_of_a_witness_are_a_flow(self) -> None:
        (flow,) = sarif(samples.FULL)["results"][0]["codeFlows"]
        (thread,) = flow["threadFlows"]

        assert [
            location["location"]["message"]["text"][:12] for location in thread["locations"]
        ] == [
            "the caller m",
            "and then ter",
        ]

    def test_a_message_has_no_links_and_no_placeholders(self) -> None:
        finding = replace(samples.GATE, message="see [here](evil) {0} ${aws:username}")
        (result,) = sarif(replace(samples.FULL, findings=(finding,)))["results"]

        assert result["message"]["text"].startswith(r"see \[here](evil) {{0}} ${aws:username}")

    def test_the_files_read_are_artifacts_with_their_hashes(self) -> None:
        assert sarif(samples.FULL)["artifacts"] == [
            {
                "location": {"uri": "policy.json", "uriBaseId": "%SRCROOT%"},
                "roles": ["analysisTarget"],
                "hashes": {"sha-256": "d4" * 32},
            }
        ]


XS = "{http://www.w3.org/2001/XMLSchema}"


class Xsd:
    """As much of XML Schema as Jenkins' schema uses."""

    def __init__(self, path: Path) -> None:
        root = ET.parse(path).getroot()  # noqa: S314 - a file of ours
        self.elements = {each.get("name"): each for each in root.findall(f"{XS}element")}
        self.types = {
            each.get("name"): each
            for each in root
            if each.tag in (f"{XS}simpleType", f"{XS}complexType")
        }

    def problems(self, element: ET.Element) -> list[str]:
        known = self.elements.get(element.tag)
        if known is None:
            return [f"unknown element {element.tag}"]
        if known.get("type") == "xs:string":
            return [f"{element.tag} has children"] if len(element) or element.attrib else []
        kind = known.find(f"{XS}complexType")
        assert kind is not None
        wrong = self._attributes(element, kind) + self._children(element, kind)
        if kind.get("mixed") != "true" and (element.text or "").strip():
            wrong.append(f"{element.tag} has text")
        return wrong + [problem for child in element for problem in self.problems(child)]

    def _attributes(self, element: ET.Element, kind: ET.Element) -> list[str]:
        known = {each.get("name"): each for each in kind.findall(f"{XS}attribute")}
        wrong = [f"{element.tag}@{name} is unknown" for name in element.attrib if name not in known]
        for name, each in known.items():
            if each.get("use") == "required" and name not in element.attrib:
                wrong.append(f"{element.tag}@{name} is missing")
            limited = self.types.get(each.get("type"))
            if limited is not None and name in element.attrib:
                pattern = limited.find(f".//{XS}pattern")
                assert pattern is not None
                if not re.fullmatch(pattern.get("value", ""), element.attrib[name]):
                    wrong.append(f"{element.tag}@{name}")
        return wrong

    def _children(self, element: ET.Element, kind: ET.Element) -> list[str]:
        known = {each.get("ref") for each in kind.iter(f"{XS}element")}
        return [f"{child.tag} in {element.tag}" for child in element if child.tag not in known]


def junit(report: Report, fail_on: Severity = Severity.WARNING) -> ET.Element:
    return ET.fromstring(write_report(report, "junit", fail_on=fail_on))  # noqa: S314 - ours


def case(root: ET.Element, start: str) -> ET.Element:
    (found,) = (each for each in root.iter("testcase") if each.get("name", "").startswith(start))
    return found


class TestJunit:
    @pytest.mark.parametrize("name", REPORTS)
    def test_it_meets_the_schema_of_jenkins(self, name: str) -> None:
        assert Xsd(SCHEMAS / "junit-10.xsd").problems(junit(REPORTS[name])) == []

    @pytest.mark.parametrize("name", REPORTS)
    def test_it_meets_the_schema_of_jenkins_by_libxml(self, name: str) -> None:
        etree = pytest.importorskip("lxml.etree")
        schema = etree.XMLSchema(etree.parse(str(SCHEMAS / "junit-10.xsd")))

        schema.assertValid(etree.fromstring(write_report(REPORTS[name], "junit").encode()))

    def test_the_reader_of_the_schema_can_say_no(self) -> None:
        wrong = ET.Element("testsuites")
        ET.SubElement(ET.SubElement(wrong, "testsuite", {"tests": "1"}), "case")

        said = " ".join(Xsd(SCHEMAS / "junit-10.xsd").problems(wrong))
        assert "testsuite@name is missing" in said
        assert "case in testsuite" in said

    @pytest.mark.parametrize("name", REPORTS)
    def test_the_counts_are_those_of_the_tests(self, name: str) -> None:
        root = junit(REPORTS[name])

        for suite in (root, *root.iter("testsuite")):
            for attribute, tag in (("failures", "failure"), ("errors", "error")):
                assert int(suite.get(attribute, "")) == len(list(suite.iter(tag)))
            assert int(suite.get("tests", "")) == len(list(suite.iter("testcase")))

    def test_an_open_finding_is_a_failure_with_its_witness_and_remedy(self) -> None:
        failure = case(junit(samples.FULL), "CML501").find("failure")

        assert failure is not None
        assert failure.get("type") == "error CML501"
        assert "1. the caller may set the tag" in (failure.text or "")
        assert "fix: allow ec2:CreateTags only" in (failure.text or "")

    def test_a_waived_finding_is_a_skipped_test_that_says_why(self) -> None:
        skipped = case(junit(samples.FULL), "CML601").find("skipped")

        assert skipped is not None
        assert skipped.get("message") == "waived by network-lab until 2027-03-31: lab account"

    def test_what_could_not_be_checked_is_an_error_and_never_skipped(self) -> None:
        root = junit(samples.FULL)

        assert case(root, "Permissions as AWS").find("error") is not None
        assert case(root, "account 444455556666").find("error") is not None

    def test_a_clean_report_has_no_failure(self) -> None:
        root = junit(samples.CLEAN)

        assert (root.get("tests"), root.get("failures"), root.get("errors")) == ("6", "0", "0")

    def test_a_finding_below_the_asked_severity_is_no_failure_but_is_told(self) -> None:
        root = junit(samples.FULL, Severity.ERROR)
        told = case(root, "AUD301")

        assert told.find("failure") is None
        assert "147 days old" in (told.findtext("system-out") or "")

    def test_a_check_that_failed_without_a_finding_is_a_failure(self) -> None:
        root = junit(replace(samples.FULL, findings=()))

        assert case(root, "Policies as documents").find("failure") is not None

    def test_a_finding_of_no_known_check_is_told_all_the_same(self) -> None:
        root = junit(replace(samples.FULL, findings=(replace(samples.GATE, check="other"),)))

        assert case(root, "CML501").find("failure") is not None

    def test_no_two_tests_have_one_name(self) -> None:
        twice = (samples.GATE, replace(samples.GATE, fingerprint="0" * 32))
        root = junit(replace(samples.FULL, findings=twice))
        names = [(each.get("classname"), each.get("name")) for each in root.iter("testcase")]

        assert len(names) == len(set(names))
