"""Every command with `-o json`, run in the sandbox: its answer is what the schema publishes.

The other tests of the command line compare theirs, too: `cml_iam` in conftest.py.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from cml_iam.aws import Aws, connect
from cml_iam.files import shipped_text
from cml_iam.sandbox import start_sandbox
from cml_iam.secret import Secret
from tests.harness_answers.harness import ran
from tests.output_schema import NAME, REPORT, problems, with_json
from tests.who.brute import ACCOUNT, allow, policy, role, trusting, user

SITE: Final = """
[account]
id = "111122223333"
[principal]
[credentials]
manager = "env:.env"
[restrict]
regions = ["us-east-1", "us-west-2"]
guard_tag = { ManagedBy = "cml-cloud-manager" }
instance_types = ["m5zn.metal", "c5.*"]
"""

WIDE: Final = policy(
    {"Sid": "Tagging", "Effect": "Allow", "Action": "ec2:CreateTags", "Resource": "*"},
    {
        "Sid": "Operate",
        "Effect": "Allow",
        "Action": ["ec2:StopInstances", "ec2:Typo"],
        "Resource": "*",
        "Condition": {"StringEquals": {"aws:ResourceTag/ManagedBy": "cml-cloud-manager"}},
    },
)

WHOLE_ACCOUNT: Final = {
    "UserDetailList": [user("alice", policy(allow("sts:AssumeRole", "*")))],
    "GroupDetailList": [],
    "RoleDetailList": [
        role("w", policy(allow("ec2:StopInstances")), trust=trusting({"AWS": ACCOUNT}))
    ],
    "Policies": [],
}

Run = Callable[..., Any]


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Any]]:
    """What each command answered, in the order of a life: policies, account, keys, workers."""
    folder = tmp_path_factory.mktemp("work")
    (folder / "cml-iam.toml").write_text(SITE)
    (folder / "wide.json").write_text(json.dumps(WIDE))
    (folder / "account.json").write_text(json.dumps(WHOLE_ACCOUNT))
    # A process has one sandbox at a time, and `demo` starts its own.
    demo = ran(["demo", "-o", "json"], folder, {}, read_timeout=30)
    found: dict[str, list[Any]] = {"demo": [json.loads(demo.out)]}
    with start_sandbox() as sandbox:
        environment = sandbox.environment()

        def run(words: str) -> Any:
            end = ran([*words.split(), "-o", "json"], folder, environment, read_timeout=30)
            assert end.code in (0, 3, 6, 7, 8), f"{words}: {end.text}"
            named = " ".join(words.split()[:2])
            name = named if named in with_json() else named.split()[0]
            found.setdefault(name, []).append(json.loads(end.out))
            return found[name][-1]

        rendered = ran(["policy", "render"], folder, environment)
        (folder / "site.json").write_text(rendered.out)
        _policies(run)
        _account(run)
        _keys(run)
        _workers(run, _root(environment))
        run("bootstrap destroy --yes")
    found["sandbox start"] = [_sandbox_start(folder)]
    return found


def _root(environment: dict[str, str]) -> Aws:
    return connect(
        endpoint_url=environment["AWS_ENDPOINT_URL"],
        region="us-east-1",
        access_key=environment["AWS_ACCESS_KEY_ID"],
        secret_key=Secret(environment["AWS_SECRET_ACCESS_KEY"]),
    )


def _policies(run: Run) -> None:
    run("policy lint")
    run("policy lint wide.json --fix --dry-run")
    run("policy rules")
    run("policy rules CML501")
    run("policy verify")
    run("policy verify wide.json")
    run("policy prove")
    run("policy prove wide.json")
    run("policy prove wide.json --never ec2:StopInstances")
    run("policy prove --within wide.json")
    run("policy who-can ec2:StopInstances --account account.json")
    run("policy explain ec2:StopInstances")
    run("policy diff wide.json site.json")
    run("policy diff site.json site.json")
    run("policy history")
    run("policy history --from 1.0")
    run("policy documents")
    run("policy permissions")
    run("audit")
    run("audit wide.json")
    run("audit --rules")


def _account(run: Run) -> None:
    run("bootstrap plan --boundary --guard --with audit --alert-email ops@example.com")
    run("bootstrap apply --yes")
    run("bootstrap apply --dry-run --boundary")
    run("bootstrap plan")
    run("bootstrap status")
    run("bootstrap drift --boundary")
    run("bootstrap adopt --yes")
    run("bootstrap apply --yes --document base")
    run("bootstrap rollback --yes")
    run("policy verify --live")
    run("audit --live")


def _keys(run: Run) -> None:
    run("key deliver --to env:other.env --yes")
    run("key rotate --yes --dry-run")
    run("key rotate --yes")
    run("key status")
    run("key resume")
    run("key rollback")
    run("key rotate --yes --overlap 0s --cool-off 0s")
    run("key status")
    run(f"key revoke {run('key list')['stored_id']} --yes")
    (inactive,) = (key for key in run("key list")["keys"] if key["status"] == "Inactive")
    run(f"key delete {inactive['id']} --yes")


def _workers(run: Run, root: Aws) -> None:
    image = run("worker images *")[0]["id"]
    run(f"worker create lab-1 --image {image} --dry-run")
    run(f"worker create lab-1 --image {image}")
    for words in (
        "worker list",
        "worker show lab-1",
        "worker wait lab-1 --for running",
        "worker status",
        "worker metrics --metric all",
        "worker idle",
        "worker watch --count 1",
        "worker tag lab-1 -t Owner=lab",
        "worker untag lab-1 -t Owner",
        "worker stop lab-1 --yes",
        "worker start lab-1 --wait",
        "health",
        "doctor",
    ):
        run(words)
    # An instance that looks like a worker but lacks the guard tag.
    lost = run("worker list")[0]["id"]
    root.call("ec2", "delete_tags", Resources=[lost], Tags=[{"Key": "ManagedBy"}])
    run("worker orphans")
    run(f"worker adopt {lost} --yes")
    run("worker terminate lab-1 --yes")


def _sandbox_start(folder: Path) -> Any:
    command = [sys.executable, "-m", "cml_iam", "sandbox", "start", "-o", "json"]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        text = "".join(iter(running.stdout.readline, "}\n")) + "}"
        running.terminate()
    return json.loads(text)


@pytest.mark.long
@pytest.mark.parametrize("name", with_json())
def test_the_answer_of_a_command_follows_its_schema(
    answers: dict[str, list[Any]], name: str
) -> None:
    assert answers.get(name), f"`{name} -o json` is not run here"
    for answer in answers[name]:
        assert problems(name, answer) == []


def test_there_is_a_definition_for_each_command_and_for_no_other() -> None:
    titled = {name for name, each in _definitions().items() if "title" in each}

    assert titled == {name.replace(" ", "-") for name in with_json()}


def test_a_key_that_the_schema_lacks_is_noticed() -> None:
    answer = {"checks": [{"text": "renders", "ok": True, "new": 1}], "failed": 0}

    assert "new" in problems("demo", answer)[0]


@pytest.mark.parametrize("file", [NAME, REPORT])
def test_keys_are_in_snake_case(file: str) -> None:
    schema = json.loads(shipped_text("policies", file))

    assert [
        key for key in _keys_of(schema) if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", key)
    ] == []


def _definitions() -> dict[str, Any]:
    definitions: dict[str, Any] = json.loads(shipped_text("policies", NAME))["$defs"]
    return definitions


def _keys_of(schema: Any) -> Iterator[str]:
    """Yield the keys of every object that *schema* describes."""
    if isinstance(schema, list):
        for each in schema:
            yield from _keys_of(each)
    if isinstance(schema, dict):
        yield from schema.get("properties", {})
        for each in schema.values():
            yield from _keys_of(each)
