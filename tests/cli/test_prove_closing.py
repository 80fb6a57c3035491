"""What `policy prove` says closes a promise does, applied to the files as it is printed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cml_iam.cli._proof_text import fitted
from cml_iam.render import render_policy
from cml_iam.site import parse_site
from tests.site.test_site import EXAMPLE

SNIPPETS = Path(__file__).parent / "snippets"
ADMINISTRATOR = {"Sid": "Everything", "Effect": "Allow", "Action": "*", "Resource": "*"}
NOTHING = {"Effect": "Deny", "Action": "s3:DeleteBucket", "Resource": "*"}
OPERATIONS = ["ec2:StartInstances", "ec2:StopInstances", "ec2:TerminateInstances"]
GUARDED = {"StringEquals": {"aws:ResourceTag/ManagedBy": "cml-cloud-manager"}}
GATE = [
    {
        "Sid": "Operate",
        "Effect": "Allow",
        "Action": OPERATIONS,
        "Resource": "*",
        "Condition": GUARDED,
    },
    {
        "Sid": "Tag",
        "Effect": "Allow",
        "Action": ["ec2:CreateTags", "ec2:DeleteTags"],
        "Resource": "arn:aws:ec2:*:*:instance/*",
    },
]
"""Whoever may set the guard tag on any instance makes it a worker first, and terminates it then."""


def opened() -> list[dict[str, Any]]:
    """Return the hardened policy without the tag that a worker must carry to be operated."""
    statements: list[dict[str, Any]] = json.loads(render_policy(parse_site(EXAMPLE)).text)[
        "Statement"
    ]
    for statement in statements:
        if statement["Sid"] == "OperateWorkers":
            del statement["Condition"]["StringEquals"]["aws:ResourceTag/ManagedBy"]
    return statements


@pytest.fixture(autouse=True)
def _files(tmp_path: Path) -> None:
    (tmp_path / "cml-iam.toml").write_text(EXAMPLE)
    base = json.loads(render_policy(None, "base").text)["Statement"]
    written = {"base": base, "admin": [ADMINISTRATOR], "gate": GATE, "opened": opened()}
    for name, statements in written.items():
        document = {"Version": "2012-10-17", "Statement": statements}
        (tmp_path / f"{name}.json").write_text(json.dumps(document, indent=2))


CASES: dict[str, tuple[list[str | Path], set[str]]] = {
    "the documented policy": (["base.json"], {"statements"}),
    "the guide's snippets beside it": (["base.json", *sorted(SNIPPETS.iterdir())], {"statements"}),
    "everything": (["admin.json"], {"statements"}),
    "a tag gate that the caller can open": (["gate.json"], {"statements", "conditions"}),
    "a condition left out": (["opened.json"], {"conditions"}),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_said_to_close_the_promises_closes_them(
    cml_iam: Any, tmp_path: Path, case: str
) -> None:
    files, kinds = CASES[case]
    proofs = json.loads(cml_iam("-o", "json", "policy", "prove", *files).out)["promises"]
    broken = [proof for proof in proofs if proof["answer"] == "broken"]
    assert broken
    applied = {kind for each in broken for kind in _apply(each, tmp_path)}

    again = cml_iam("-o", "json", "policy", "prove", *files, "added.json")
    left = {e["id"] for e in json.loads(again.out)["promises"] if e["answer"] != "holds"}
    assert not left
    assert applied == kinds


def _apply(proof: dict[str, Any], folder: Path) -> set[str]:
    """Write what closes *proof* into the files, and say of what kind it was."""
    for edit in proof["conditions_to_add"]:
        path = folder / edit["policy"]
        document = json.loads(path.read_text())
        (statement,) = (e for e in document["Statement"] if e["Sid"] == edit["statement"])
        for operator, block in edit["add"].items():
            statement.setdefault("Condition", {}).setdefault(operator, {}).update(block)
        path.write_text(json.dumps(document, indent=2))
    added = folder / "added.json"
    before = json.loads(added.read_text())["Statement"] if added.exists() else [NOTHING]
    statements = [*before, *proof["statements_to_add"]]
    added.write_text(json.dumps({"Version": "2012-10-17", "Statement": statements}))
    if proof["conditions_to_add"]:
        return {"conditions"}
    return {"statements"} if proof["statements_to_add"] else {"nothing"}


def test_what_is_printed_to_be_added_is_the_json_of_it_fitted_to_80_columns(cml_iam: Any) -> None:
    ran = cml_iam("policy", "prove", "base.json")
    proofs = json.loads(cml_iam("-o", "json", "policy", "prove", "base.json").out)["promises"]

    printed = [line[6:] for line in ran.out.splitlines() if line.startswith(" " * 6 + "{")]
    block = [
        line for line in ran.out.splitlines() if line.startswith(" " * 6) and line[6] in '{ }"'
    ]
    texts = "\n".join(line for line in block if not line.startswith(" " * 7 + "a"))
    found = _objects(texts)
    assert printed
    assert found == [each for proof in proofs for each in proof["statements_to_add"]]
    assert max(len(line) for line in block) <= 80


def _objects(text: str) -> list[Any]:
    """Return the JSON objects of *text*, whatever stands between them."""
    decoder, found, at = json.JSONDecoder(), [], text.find("{")
    while at >= 0:
        value, end = decoder.raw_decode(text, at)
        found.append(value)
        at = text.find("{", end)
    return found


def test_a_text_longer_than_the_line_is_not_broken() -> None:
    value = {"Effect": "Deny", "Resource": ["x" * 90, "y"], "Condition": {"a": {"b": ["z" * 90]}}}
    lines = fitted(value, 40)

    assert json.loads("\n".join(lines)) == value
    assert lines[2:6] == ['  "Resource": [', f'    "{"x" * 90}",', '    "y"', "  ],"]


def test_a_foreign_instance_is_terminated_in_two_calls_and_both_are_told(cml_iam: Any) -> None:
    ran = cml_iam("policy", "prove", "gate.json")
    lines = ran.out.splitlines()
    start = lines.index("    [foreign-operated]")
    instance = "arn:aws:ec2:us-east-1:111122223333:instance/i-0foreign000000001"
    assert lines[start - 1 : start + 11] == [
        "✖ broken  no instance without the guard tag can be operated, in any number of steps",
        "    [foreign-operated]",
        "    1. ec2:CreateTags",
        f"       on {instance}",
        "       aws:RequestTag/ManagedBy = cml-cloud-manager",
        "       allowed by Tag (gate.json:19:5)",
        "    2. ec2:TerminateInstances",
        f"       on {instance}",
        "       aws:ResourceTag/ManagedBy = cml-cloud-manager",
        "       allowed by Operate (gate.json:4:5)",
        "    closes it: add to Tag (gate.json:19:5) the condition",
        '      {"StringEquals": {"aws:ResourceTag/ManagedBy": ["cml-cloud-manager"]}}',
    ]


def test_conditions_that_close_a_promise_together_are_told_together(cml_iam: Any) -> None:
    lines = cml_iam("policy", "prove", "gate.json").out.splitlines()
    regions = '      {"StringEquals": {"aws:RequestedRegion": ["us-east-1", "us-west-2"]}}'

    start = next(n for n, line in enumerate(lines) if "closes it" in line)
    assert lines[start : start + 4] == [
        "    closes it: add to Tag (gate.json:19:5) the condition",
        regions,
        "    and to Operate (gate.json:4:5) the condition",
        regions,
    ]
