"""What others wrote begins no line, and is no command of a CI job, wherever a command prints it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Ran

FOREIGN = "x\n::error file=a,line=1::forged\n✔ all is well\r\x1b[2K\u202e##[error]\u2028"
IN_XML = FOREIGN.replace("\r\x1b[2K", "")
"""What an answer of EC2 can hold."""

PLANTED = ("::error", "✔ all is well", "##[error]")
SITE = '[account]\nid = "111122223333"\n[restrict]\nregions = ["us-east-1"]\n'


def check(ran: Ran) -> None:
    """Nothing planted begins a line; nothing that a terminal obeys is there as it is."""
    text = (ran.out + ran.err).replace("\r\n", "\n")  # of CSV
    assert "forged" in text, "it is not printed at all"
    for line in text.splitlines():
        assert not line.lstrip().startswith(PLANTED), line
        assert "##[" not in line, line
    assert not {"\r", "\x1b", "\u202e", "\u2028"} & set(text)
    assert "internal error" not in ran.err


def policy(**changed: Any) -> str:
    statement = {"Sid": "One", "Effect": "Allow", "Action": "ec2:StopInstances", "Resource": "*"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement | changed]})


POLICIES = {
    "a Sid": policy(Sid=FOREIGN, Action="ec2:*"),
    "an action": policy(Action=FOREIGN),
    "a resource": policy(Resource=f"arn:aws:ec2:us-east-1:111122223333:{FOREIGN}"),
    "a condition key": policy(Condition={"StringEquals": {FOREIGN: "a"}}),
    "an element": policy(**{FOREIGN: 1}),
}
SAME = policy()
EXPLAIN = ("policy", "explain", "ec2:StopInstances", "--resource", "*", "--policy")
COMMANDS = {
    "lint": ("policy", "lint", "p.json"),
    "diff": ("policy", "diff", "same.json", "p.json"),
    "explain": (*EXPLAIN, "p.json"),
    "audit": ("audit", "p.json"),
}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("kind", POLICIES)
def test_a_policy_forges_no_line(
    cml_iam: Callable[..., Ran], tmp_path: Path, kind: str, command: str
) -> None:
    (tmp_path / "p.json").write_text(POLICIES[kind])
    (tmp_path / "same.json").write_text(SAME)

    ran = cml_iam(*COMMANDS[command])

    if "forged" in ran.out + ran.err:
        check(ran)


def test_every_command_prints_some_of_what_is_planted(
    cml_iam: Callable[..., Ran], tmp_path: Path
) -> None:
    """So that the test above looks at something in each command."""
    (tmp_path / "same.json").write_text(SAME)
    printed = set()
    for text in POLICIES.values():
        (tmp_path / "p.json").write_text(text)
        for name, arguments in COMMANDS.items():
            ran = cml_iam(*arguments)
            if "forged" in ran.out + ran.err:
                printed.add(name)

    assert printed == set(COMMANDS)


@pytest.mark.parametrize("command", ["lint", "explain", "diff", "audit", "earlier", "site", "plan"])
def test_the_name_of_a_file_forges_no_line(
    cml_iam: Callable[..., Ran], tmp_path: Path, command: str
) -> None:
    name = FOREIGN.replace("/", "") + ".json"
    (tmp_path / name).write_text('{"Statement": [{"Effect": 1}]}')
    (tmp_path / "same.json").write_text(SAME)
    (tmp_path / "cml-iam.toml").write_text(SITE)
    arguments: dict[str, tuple[str, ...]] = {
        "lint": ("policy", "lint", name),
        "explain": (*EXPLAIN, name),
        "diff": ("policy", "diff", name, "same.json"),
        "audit": ("audit", name),
        "earlier": ("audit", "same.json", "--earlier", name),
        "site": ("policy", "render", "--site", name),
        "plan": ("bootstrap", "apply", name),
    }

    check(cml_iam(*arguments[command]))


def test_a_site_file_forges_no_line(cml_iam: Callable[..., Ran], tmp_path: Path) -> None:
    name = json.dumps(FOREIGN)
    (tmp_path / "cml-iam.toml").write_text(f"[account]\nid = '111122223333'\n[{name}]\na = 1\n")

    ran = cml_iam("policy", "render")

    assert ran.code == 2
    check(ran)


def test_what_is_typed_wrongly_forges_no_line(cml_iam: Callable[..., Ran]) -> None:
    check(cml_iam("audit", "--skip", FOREIGN))


@pytest.fixture
def workers(
    cml_iam: Callable[..., Ran], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Ran]]:
    from moto import mock_aws

    from cml_iam.aws import connect
    from cml_iam.secret import Secret

    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
    (tmp_path / "cml-iam.toml").write_text(SITE.replace("111122223333", "123456789012"))
    with mock_aws():
        aws = connect(
            region="us-east-1", access_key="AKIAIOSFODNN7EXAMPLE", secret_key=Secret("any" * 8)
        )
        image = next(iter(aws.pages("ec2", "describe_images", "Images")))["ImageId"]
        for name in (IN_XML, "::error file=x::forged"):
            tags = {
                "Name": name,
                "ManagedBy": "lablet-cloud-manager",
                name: name,
            }
            aws.call(
                "ec2",
                "run_instances",
                ImageId=image,
                InstanceType="m5.large",
                MinCount=1,
                MaxCount=1,
                TagSpecifications=[
                    {
                        "ResourceType": "instance",
                        "Tags": [{"Key": key, "Value": value} for key, value in tags.items()],
                    }
                ],
            )
        yield cml_iam


@pytest.mark.parametrize(
    "arguments",
    [
        ("worker", "list"),
        ("worker", "list", "-o", "csv"),
        ("worker", "stop", "::error file=x::forged", "--dry-run"),
        ("worker", "stop", "nobody::forged\n::error"),
        ("worker", "idle"),
    ],
    ids=" ".join,
)
def test_the_name_of_a_worker_forges_no_line(
    workers: Callable[..., Ran], arguments: tuple[str, ...]
) -> None:
    check(workers(*arguments))


# what ends a run


@pytest.fixture
def unwritable(tmp_path: Path) -> Path:
    """A policy with a finding, in a file whose name is not UTF-8."""
    path = os.fsencode(tmp_path) + b"/\xff.json"
    try:
        with open(path, "w") as file:
            file.write(policy(Action="*"))
    except OSError:
        pytest.skip("this file system takes only names in UTF-8")
    return Path(os.fsdecode(path))


FORMS = (".txt", ".json", ".sarif", ".xml", ".md", ".html")


@pytest.mark.parametrize("kind", ["a Sid that is half a character", "a name that is not UTF-8"])
def test_one_character_does_not_end_an_audit(
    cml_iam: Callable[..., Ran], tmp_path: Path, kind: str, request: pytest.FixtureRequest
) -> None:
    if kind.startswith("a Sid"):
        path = tmp_path / "c.json"
        path.write_text(policy(Sid="\ud800", Action="*"))
    else:
        path = request.getfixturevalue("unwritable")
    outs = [word for end in FORMS for word in ("--out", f"r{end}")]

    ran = cml_iam("audit", path, *outs)
    again = cml_iam("audit", path, "--earlier", "r.json")

    assert (ran.code, again.code) == (3, 3), ran.err + again.err
    assert "CML602" in ran.out
    for end in FORMS:
        assert "CML602" in (tmp_path / f"r{end}").read_text("utf-8")
    assert "0 new" in again.out


@pytest.mark.parametrize("command", ["lint", "diff", "explain"])
def test_one_character_does_not_end_another_command(
    cml_iam: Callable[..., Ran], tmp_path: Path, command: str
) -> None:
    (tmp_path / "p.json").write_text(policy(Sid="\ud800", Action="ec2:*"))
    (tmp_path / "same.json").write_text(SAME)

    ran = cml_iam(*COMMANDS[command])

    assert "internal error" not in ran.err
    assert ran.code in (0, 3, 6)
