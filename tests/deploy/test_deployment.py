"""What is deployed is what the setup guide's commands expect, and what is in the tree.

The guide: `curl -X GET http://localhost:8030/health`, `docker logs cml-cloud-manager-app-1 | grep
"AWS EC2"`, `kubectl create secret generic aws-credentials … --namespace=cml-cloud-manager`.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from cml_iam.cli._main import cli
from cml_iam.sandbox import Sandbox, command_environment, start_sandbox
from tests.conftest import REPOSITORY, needs

yaml = pytest.importorskip("yaml")

KUBERNETES = REPOSITORY / "deploy" / "kubernetes"
DOCKERFILE = (REPOSITORY / "Dockerfile").read_text("utf-8")
COMPOSE = yaml.safe_load((REPOSITORY / "compose.yaml").read_text("utf-8"))
MANIFESTS = {
    each["kind"]: each
    for path in KUBERNETES.glob("*.yaml")
    for each in yaml.safe_load_all(path.read_text("utf-8"))
}
APP = COMPOSE["services"]["app"]
(CONTAINER,) = MANIFESTS["Deployment"]["spec"]["template"]["spec"]["containers"]


def instructions() -> list[tuple[str, str]]:
    """Return the Dockerfile's instructions with what follows them."""
    joined = re.sub(r"\\\n\s*", " ", DOCKERFILE)
    lines = [line for line in joined.splitlines() if line and not line.startswith("#")]
    return [
        (word, rest.strip()) for word, _, rest in (line.strip().partition(" ") for line in lines)
    ]


def of(word: str) -> list[str]:
    return [rest for each, rest in instructions() if each == word]


def test_the_container_is_called_as_in_the_guide() -> None:
    """https://docs.docker.com/compose/how-tos/project-name/: PROJECT-SERVICE-NUMBER."""
    (service,) = COMPOSE["services"]

    assert f"{COMPOSE['name']}-{service}-1" == "cml-cloud-manager-app-1"
    assert "container_name" not in APP


def test_it_is_reached_on_port_8030_of_this_machine_alone() -> None:
    assert APP["ports"] == ["127.0.0.1:8030:8030"]
    assert of("EXPOSE") == ["8030"]


def test_it_reads_the_env_file_beside_it_and_the_image_holds_none() -> None:
    assert APP["env_file"] == ".env"
    ignored = (REPOSITORY / ".dockerignore").read_text().splitlines()
    assert "*" in ignored
    assert not [each for each in ignored if each.startswith("!") and "env" in each]


def test_everything_the_image_copies_is_in_the_tree_and_in_the_context() -> None:
    allowed = (REPOSITORY / ".dockerignore").read_text().splitlines()
    for each in of("COPY"):
        source = each.split()[0]
        assert (REPOSITORY / source).exists()
        assert f"!{source}" in allowed


def test_the_image_names_no_registry_and_does_not_run_as_root() -> None:
    assert of("FROM") == ["python:3.13-slim"]
    assert of("USER") == ["10001:10001"]
    names = [APP["image"], CONTAINER["image"]]
    assert names[0] == names[1]
    assert not [name for name in names if "/" in name or name.endswith(":latest")]


def test_what_the_image_installs_is_pinned_hashed_and_what_was_tested() -> None:
    assert "--require-hashes" in of("RUN")[0]
    tested = (REPOSITORY / "requirements" / "dev.txt").read_text()
    pinned = re.findall(r"^(\S+==\S+)", (REPOSITORY / "requirements" / "run.txt").read_text(), re.M)
    assert len(pinned) > 10
    assert [each for each in pinned if each not in tested] == []


def commands() -> list[list[str]]:
    return [json.loads(of("CMD")[0]), APP["command"], CONTAINER["args"]]


def test_all_three_start_the_service_alike_and_the_command_line_knows_it() -> None:
    first, *others = commands()

    assert others == [first, first]
    assert first[0] == "serve"
    cli.command_named("serve").make_context("serve", first[1:])


def test_the_healthcheck_is_a_program_that_python_can_read() -> None:
    (check,) = of("HEALTHCHECK")
    program = json.loads(check[check.index("[") :])

    assert program[:2] == ["python", "-c"]
    compile(program[2], "HEALTHCHECK", "exec")
    assert "http://127.0.0.1:8030/health" in program[2]


def test_the_secret_is_the_one_of_the_guide() -> None:
    (source,) = CONTAINER["envFrom"]

    assert source == {"secretRef": {"name": "aws-credentials"}}
    for kind in ("Deployment", "Service", "Secret"):
        assert MANIFESTS[kind]["metadata"]["namespace"] == "cml-cloud-manager"
    assert set(MANIFESTS["Secret"]["stringData"]) == {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}
    assert MANIFESTS["Secret"]["metadata"]["name"] == "aws-credentials"


def test_the_example_secret_is_not_applied() -> None:
    named = MANIFESTS["Kustomization"]["resources"]

    assert "secret.example.yaml" not in named
    assert all((KUBERNETES / each).is_file() for each in named)


def test_ready_means_that_ec2_can_be_used_and_alive_only_that_it_listens() -> None:
    ready, alive = CONTAINER["readinessProbe"], CONTAINER["livenessProbe"]

    assert ready["httpGet"] == {"path": "/health", "port": "http"}
    assert ready["timeoutSeconds"] >= 5
    assert "tcpSocket" in alive


def test_the_service_finds_the_pods() -> None:
    labels = MANIFESTS["Deployment"]["spec"]["template"]["metadata"]["labels"]
    chosen = MANIFESTS["Service"]["spec"]["selector"]

    assert chosen.items() <= labels.items()
    assert MANIFESTS["Deployment"]["spec"]["selector"]["matchLabels"].items() <= labels.items()
    (port,) = MANIFESTS["Service"]["spec"]["ports"]
    assert (port["port"], port["targetPort"]) == (8030, CONTAINER["ports"][0]["name"])


def test_the_pod_may_do_nothing_beside() -> None:
    """What the namespace's standard asks for.

    https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted
    """
    pod = MANIFESTS["Deployment"]["spec"]["template"]["spec"]
    rules = CONTAINER["securityContext"]

    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert rules["allowPrivilegeEscalation"] is False
    assert rules["capabilities"] == {"drop": ["ALL"]}
    assert rules["readOnlyRootFilesystem"] is True
    assert pod["automountServiceAccountToken"] is False


@needs("kubectl")
def test_kustomize_builds_the_manifests() -> None:
    built = subprocess.run(
        ["kubectl", "kustomize", KUBERNETES], capture_output=True, text=True, check=True
    )

    kinds = [each["kind"] for each in yaml.safe_load_all(built.stdout)]
    assert sorted(kinds) == ["Deployment", "Namespace", "Service"]


# The container's own command, with the `.env` alone


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with start_sandbox() as running:
        yield running


Get = Callable[[str], tuple[int, str]]


@contextmanager
def container(sandbox: Sandbox, folder: Path, key: tuple[str, str]) -> Iterator[tuple[Get, Path]]:
    """Run the command on a free port; yield how to ask it, and its standard output."""
    given = command_environment(sandbox, {"PATH": os.environ["PATH"], "PYTHONUTF8": "1"})
    environment = given | {"AWS_ACCESS_KEY_ID": key[0], "AWS_SECRET_ACCESS_KEY": key[1]}
    out, err = folder / "stdout", folder / "stderr"
    command = [sys.executable, "-m", "cml_iam", *commands()[0], "--port", "0"]
    with out.open("w") as log, err.open("w") as notes:
        process = subprocess.Popen(
            command,
            env=environment | {"PYTHONPATH": str(REPOSITORY)},
            cwd=folder,
            stdout=log,
            stderr=notes,
        )
    try:
        found = wait_for(lambda: re.search(r"http://0\.0\.0\.0:(\d+)/", err.read_text()))
        yield asker(found[1]), out
    finally:
        process.terminate()
        ended = process.wait(20)
    assert ended == 0


def asker(port: str) -> Get:
    """Return what asks the service for a path: the status and the body."""

    def get(path: str) -> tuple[int, str]:
        try:
            with urlopen(Request(f"http://localhost:{port}{path}"), timeout=10) as answer:
                return answer.status, answer.read().decode()
        except HTTPError as error:
            with error:
                return error.code, error.read().decode()

    return get


def wait_for(look: Callable[[], Any]) -> Any:
    until = time.monotonic() + 20
    while not (found := look()):
        assert time.monotonic() < until
        time.sleep(0.05)
    return found


def grep(path: Path, text: str) -> list[str]:
    return [line for line in path.read_text("utf-8").splitlines() if text in line]


def test_the_guides_curl_and_grep_say_what_the_guide_prints(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    key = (sandbox.root.id, sandbox.root.secret.reveal())
    with container(sandbox, tmp_path, key) as (get, out):
        status, said = get("/health")
        wait_for(lambda: len(grep(out, "AWS EC2")) >= 2)
        refused = get("/metrics")[0]

    assert (status, json.loads(said)) == (200, {"status": "ok"})
    assert refused == 401
    assert grep(out, "AWS EC2") == [
        "INFO  ✅ AWS EC2 connection successful",
        "INFO  ✅ AWS EC2 has answered: listing and measuring workers is enabled",
    ]


def test_with_invalid_credentials_they_say_what_the_guide_prints(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    key = ("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
    with container(sandbox, tmp_path, key) as (get, out):
        status, said = get("/health")
        wait_for(lambda: len(grep(out, "WARNING  ")) >= 2)

    first, second = grep(out, "WARNING  ")
    assert (status, json.loads(said)) == (503, {"status": "failing"})
    assert first.startswith(
        "WARNING  ⚠️ AWS EC2 health check failed: Error while verifying access to EC2: "
        "An error occurred (AuthFailure)"
    )
    assert second == "WARNING  ⚠️ AWS operations may fail at runtime"
    assert grep(out, "INFO") == []


def test_the_pages_show_the_guides_lines() -> None:
    page = (REPOSITORY / "docs" / "deploy.md").read_text("utf-8")

    for line in (
        "curl -X GET http://localhost:8030/health",
        'docker logs cml-cloud-manager-app-1 | grep "AWS EC2"',
        "kubectl create secret generic aws-credentials",
    ):
        assert line in page
