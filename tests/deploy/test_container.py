"""The container for real: built and run by podman as compose.yaml says. `make container` runs this.

It works in the sandbox, which listens on the loopback interface alone: the container shares the
machine's network. Everything else is as in compose.yaml.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

import pytest

from cml_iam.cli._main import run
from cml_iam.sandbox import start_sandbox
from tests.conftest import REPOSITORY

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif("CML_IAM_CONTAINER" not in os.environ, reason="only in `make container`"),
]

NAME = "cml-cloud-manager-app-1"
HEALTH = "http://localhost:8030/health"
HERE = {
    "x-podman": {"name_separator_compat": True, "in_pod": False},
    "services": {"app": {"network_mode": "host"}},
}
"""What differs from compose.yaml: Docker's names, and the network that reaches the sandbox."""


@dataclass(frozen=True)
class Service:
    """The running container, the folder of its site file, and the administrator's environment."""

    folder: Path
    environment: Mapping[str, str]

    def podman(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(["podman", *words], capture_output=True, text=True, timeout=60)

    def compose(self, *words: str) -> subprocess.CompletedProcess[str]:
        program = Path(sys.executable).parent / "podman-compose"
        files = ("-f", "compose.yaml", "-f", "here.yaml")
        command = [str(program), *files, *words]
        return subprocess.run(
            command, cwd=self.folder, capture_output=True, text=True, timeout=120, check=False
        )

    def inspect(self, field: str) -> str:
        return self.podman("inspect", NAME, "--format", f"{{{{{field}}}}}").stdout.strip()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The manager's service in a container, with a key made by `bootstrap apply`."""
    folder = tmp_path_factory.mktemp("site")
    with start_sandbox() as sandbox, pytest.MonkeyPatch.context() as patch:
        service = Service(folder, sandbox.environment())
        patch.chdir(folder)
        for name, value in service.environment.items():
            patch.setenv(name, value)
        patch.setattr("sys.stdin", io.StringIO())
        assert run(["init", "--account", "111122223333", "--allow-region", "us-east-1"]) == 0
        assert run(["bootstrap", "apply", "--yes"]) == 0
        with (folder / ".env").open("a") as env:
            env.write(f"AWS_ENDPOINT_URL={sandbox.endpoint_url}\n")
        shutil.copy(REPOSITORY / "compose.yaml", folder)
        (folder / "here.yaml").write_text(json.dumps(HERE))
        started = service.compose("up", "--detach", "--no-build")
        try:
            assert started.returncode == 0, started.stderr
            yield service
        finally:
            service.compose("down")


def _health() -> tuple[int, str]:
    """Return status and body of the guide's request, once the service listens."""
    for _ in range(60):
        try:
            with urlopen(HEALTH, timeout=5) as answer:
                return answer.status, answer.read().decode()
        except HTTPError as refused:
            return refused.code, refused.read().decode()
        except (URLError, ConnectionError):
            time.sleep(0.5)
    raise AssertionError("nothing listens on port 8030")


def test_the_guides_curl_is_answered(service: Service) -> None:
    status, body = _health()

    assert (status, json.loads(body)["status"]) == (200, "ok")


def test_the_guides_grep_finds_its_lines_in_the_log(service: Service) -> None:
    _health()
    log = service.podman("logs", NAME)
    lines = [line for line in (log.stdout + log.stderr).splitlines() if "AWS EC2" in line]

    assert any("AWS EC2 connection successful" in line for line in lines), log


def test_the_healthcheck_of_the_image_passes(service: Service) -> None:
    _health()

    assert service.podman("healthcheck", "run", NAME).returncode == 0


def test_it_runs_as_nobody_of_this_machine_on_a_root_that_cannot_be_written(
    service: Service,
) -> None:
    _health()

    assert service.inspect(".Config.User") == "10001:10001"
    assert "uid=10001 gid=10001" in service.podman("exec", NAME, "id").stdout.replace("(10001)", "")
    assert "Read-only" in service.podman("exec", NAME, "touch", "/opt/file").stderr
    assert service.podman("exec", NAME, "sh", "-c", "cd /tmp && touch file").returncode == 0


def test_it_lives_within_192_mebibytes(service: Service) -> None:
    for _ in range(20):
        assert _health()[0] == 200

    assert int(service.inspect(".HostConfig.Memory")) == 192 * 2**20
    assert service.inspect(".State.OOMKilled") == "false"


def test_another_command_of_the_image_runs_by_the_same_service(service: Service) -> None:
    answer = service.compose("run", "--rm", "app", "worker", "list")

    assert answer.returncode == 0, answer.stderr


def test_without_its_policy_it_is_unhealthy(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last test: the administrator takes everything away."""
    monkeypatch.chdir(service.folder)
    for name, value in service.environment.items():
        monkeypatch.setenv(name, value)
    assert run(["bootstrap", "destroy", "--yes"]) == 0
    for _ in range(60):
        if _health()[0] == 503:
            break
        time.sleep(1)

    assert _health()[0] == 503
    assert service.podman("healthcheck", "run", NAME).returncode == 1
