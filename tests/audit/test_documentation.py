"""The commands of other tools that the page on audits shows are spelled as those know them."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[2] / "docs" / "audit.md").read_text("utf-8")
COMMANDS = [
    line
    for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
    for line in block.replace("\\\n", " ").splitlines()
    if line.startswith("aws ")
]


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
