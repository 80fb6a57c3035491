"""Which lines of a document stand beside a finding, and that no secret is among them."""

from __future__ import annotations

import json
import secrets
import string
from pathlib import Path

import pytest

from cml_iam.audit import Ask, Spot
from cml_iam.check._texts import MOST_COLUMNS, MOST_LINES, with_excerpts
from cml_iam.check.answer import Answer
from cml_iam.check.checks import check_named
from cml_iam.check.documents import Offline, audit_documents
from cml_iam.check.files import read_files
from cml_iam.report import Excerpt
from tests.key_ids import key_id

POLICY = """{
  "Version": "2012-10-17",
  "Statement": [
    {"Sid": "One", "Effect": "Allow", "Action": "ec2:Describe*", "Resource": "*"},
    {
      "Sid": "Two",
      "Effect": "Allow",
      "Action": [
        "ec2:StopInstances",
        "ec2:Terminate*"
      ],
      "Resource": "*"
    }
  ]
}
"""


def excerpt(spot: Spot, *witness: Ask, text: str = POLICY, name: str = "p.json") -> Excerpt | None:
    one = check_named("expectations").finding("CML702", "said", spot, witness=witness)
    (shown,) = with_excerpts(Answer(findings=(one,)), {name: text}).findings
    return shown.excerpt


def ask(action: str, *statements: str) -> Ask:
    return Ask("", action, "*", "allowed", {}, statements)


def numbered(shown: Excerpt | None) -> tuple[int, int, tuple[int, ...]] | None:
    return shown and (shown.first, shown.first + len(shown.lines) - 1, shown.marked)


@pytest.mark.parametrize(
    ("spot", "witness", "lines"),
    [
        (Spot("p.json", 8, 7, statement="Two"), (), (5, 13, (8,))),
        (Spot("p.json", 5, 5, statement="Two"), (ask("ec2:StopInstances"),), (5, 13, (9,))),
        (Spot("p.json"), (ask("ec2:TerminateInstances", "Two"),), (5, 13, (10,))),
        (Spot("p.json"), (ask("ec2:DescribeTags", "One"),), (4, 4, (4,))),
        (Spot("p.json"), (ask("ec2:X", "One"), ask("ec2:StopInstances", "Two")), (5, 13, (9,))),
        (Spot("p.json", 2, 3), (), (1, 10, (2,))),
        (Spot("p.json"), (), None),
        (Spot("p.json"), (ask("ec2:X", "Gone"),), None),
        (Spot("p.json", 99, 1), (), None),
        (Spot("other.json", 8, 7), (), None),
        (Spot(resource="arn:aws:iam::1:user/u"), (ask("ec2:StopInstances", "Two"),), (5, 13, (9,))),
    ],
)
def test_the_statement_is_shown_and_in_it_the_line_that_is_meant(
    spot: Spot, witness: tuple[Ask, ...], lines: tuple[int, int, tuple[int, ...]] | None
) -> None:
    assert numbered(excerpt(spot, *witness)) == lines


def test_the_lines_are_those_of_the_document() -> None:
    shown = excerpt(Spot("p.json", 10, 9, statement="Two"))

    assert shown is not None
    assert list(shown.lines) == POLICY.split("\n")[shown.first - 1 : 13]


def test_a_statement_without_a_sid_is_known_by_its_number() -> None:
    text = POLICY.replace('"Sid": "One", ', "")

    assert numbered(excerpt(Spot("p.json"), ask("ec2:X", "statement 1"), text=text)) == (4, 4, ())


@pytest.mark.parametrize(("column", "marked"), [(3, ()), (40, (2,))])
def test_a_place_within_the_first_line_of_a_statement_is_that_line(
    column: int, marked: tuple[int, ...]
) -> None:
    text = (
        '{"Statement": [\n'
        '  {"Sid": "A", "Effect": "Allow", "Action": "ec2:Typo",\n'
        '   "Resource": "*"}]}'
    )

    assert numbered(excerpt(Spot("p.json", 2, column, statement="A"), text=text)) == (2, 3, marked)


def test_a_long_statement_is_cut_around_what_is_meant_and_a_long_line_too() -> None:
    statement = {"Sid": "A", "Effect": "Allow", "Action": [f"s3:A{n}" for n in range(200)]}
    text = json.dumps({"Statement": [statement]}, indent=1)
    shown = excerpt(Spot("p.json", 150, 3, statement="A"), text=text)
    flat = excerpt(
        Spot("p.json", 1, 900, statement="A"), text=json.dumps({"Statement": [statement]})
    )

    assert shown is not None
    assert len(shown.lines) == MOST_LINES
    assert shown.marked == (150,)
    assert flat is not None
    (line,) = flat.lines
    assert len(line) == MOST_COLUMNS + 2
    assert (line[0], line[-1]) == ("…", "…")


def test_nothing_of_a_file_with_a_key_is_shown(tmp_path: Path) -> None:
    letters = string.ascii_letters + string.digits
    secret = "aB1" + "".join(secrets.choice(letters) for _ in range(37))
    policy = json.loads(POLICY)
    policy["Statement"][1] |= {"Action": "*", "Sid": "All"}
    path = tmp_path / "p.json"
    path.write_text(json.dumps(policy, indent=2))
    shown = audit_documents(Offline(read_files([path])))
    assert [finding for finding in shown.findings if finding.excerpt], (
        "without a key there are lines"
    )

    policy["Id"] = f"{key_id('111122223333')} {secret}"
    path.write_text(json.dumps(policy, indent=2))
    hidden = audit_documents(Offline(read_files([path])))

    assert {finding.rule for finding in hidden.findings} >= {"CML807", "CML602"}
    assert [finding.excerpt for finding in hidden.findings if finding.excerpt] == []
