"""The page on audits lists every check with its cost, and commands as other tools know them."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from cml_iam.check.checks import AUDIT_ACCOUNT, AUDIT_FILES, DOCTOR, Check

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "audit.md").read_text("utf-8")
COMMANDS = [
    line
    for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
    for line in block.replace("\\\n", " ").splitlines()
    if line.startswith("aws ")
]


def rows(page: str, heading: str) -> dict[str, list[str]]:
    """Return the rows of the table below *heading*, by the check in the first column."""
    section = page.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    cells = [line.strip("| ").split(" | ") for line in section.splitlines() if line[:3] == "| `"]
    return {name.strip("`"): others for name, *others in cells}


@pytest.mark.parametrize(
    ("page", "heading", "checks"),
    [("audit.md", "Checks of an account", AUDIT_ACCOUNT), ("doctor.md", "What it checks", DOCTOR)],
)
def test_the_page_says_whose_credential_each_check_uses_and_what_it_costs(
    page: str, heading: str, checks: tuple[Check, ...]
) -> None:
    listed = rows((DOCS / page).read_text("utf-8"), heading)

    assert {name: row[1:] for name, row in listed.items()} == {
        check.id: [check.role or "none", check.calls] for check in checks
    }


def test_the_checks_of_files_are_all_listed_and_cost_no_calls() -> None:
    assert rows(PAGE, "Checks of files").keys() == {check.id for check in AUDIT_FILES}
    assert {check.calls for check in AUDIT_FILES} == {"none"}


def test_there_are_commands_of_the_aws_command_line() -> None:
    assert len(COMMANDS) == 2


@pytest.mark.parametrize("command", COMMANDS, ids=lambda text: text.split()[2])
def test_a_command_of_the_aws_command_line_is_one(command: str) -> None:
    """By botocore's model of the service, from which the command line is made."""
    from botocore import xform_name
    from botocore.session import Session

    _, service, verb, *words = shlex.split(command)
    model = Session().get_service_model(service)
    operation = next(each for each in model.operation_names if xform_name(each, "-") == verb)
    shape = model.operation_model(operation).input_shape
    known = {xform_name(name, "-"): member for name, member in shape.members.items()}

    given = {word.removeprefix("--"): index for index, word in enumerate(words) if word[:2] == "--"}
    assert given.keys() <= known.keys()
    required = {xform_name(name, "-") for name in shape.required_members}
    assert required <= given.keys()
    for name, index in given.items():
        value, member = words[index + 1], known[name]
        if member.type_name == "structure" and "=" in value:
            pairs = dict(pair.split("=") for pair in value.split(","))
            assert pairs.keys() <= member.members.keys()
        if getattr(member, "enum", None):
            assert value in member.enum
