"""The pages about Python: every example runs unchanged, beside a site file and in the sandbox."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cml_iam.sandbox import Sandbox, start_sandbox
from tests.site.test_site import EXAMPLE

pytestmark = pytest.mark.long
README = Path(__file__).parents[1] / "README.md"
DOCS = README.parent / "docs"
UNTRIED = "⚠️ AWS permissions not checked: "
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with start_sandbox() as running:
        yield running


def examples() -> list[object]:
    return [
        pytest.param(code, id=f"{page.stem}-{number}")
        for page in (README, DOCS / "python.md", DOCS / "cloud-manager.md")
        for number, code in enumerate(BLOCK.findall(page.read_text("utf-8")))
    ]


@pytest.mark.parametrize("code", examples())
def test_an_example_runs_as_it_stands(code: str, tmp_path: Path, sandbox: Sandbox) -> None:
    (tmp_path / "cml-iam.toml").write_text(EXAMPLE)
    (tmp_path / "example.py").write_text(code)
    environment = {"PATH": "", "HOME": str(tmp_path), **sandbox.environment()}

    ran = subprocess.run(
        [sys.executable, "example.py"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )

    assert ran.returncode == 0, ran.stderr
    # The sandbox has no worker yet, and `health` says so.
    rest = [line for line in ran.stderr.splitlines() if not line.startswith(UNTRIED)]
    assert rest == []


@pytest.fixture(scope="module")
def fresh_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment in which `pip install .` is all that was done."""
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    python = folder / "bin" / "python"
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    pinned = README.parent / "requirements" / "run.txt"
    subprocess.run([*pip, "--require-hashes", "--requirement", pinned], check=True)
    subprocess.run([*pip, "hatchling", "editables"], check=True)
    subprocess.run([*pip, "--no-deps", "--no-build-isolation", README.parent], check=True)
    return python


@pytest.mark.parametrize("code", BLOCK.findall(README.read_text("utf-8")))
def test_the_readmes_scripts_run_where_pip_installed_it(
    code: str, fresh_python: Path, tmp_path: Path, sandbox: Sandbox
) -> None:
    (tmp_path / "cml-iam.toml").write_text(EXAMPLE)
    (tmp_path / "example.py").write_text(code)

    ran = subprocess.run(
        [fresh_python, "example.py"],
        cwd=tmp_path,
        env={"PATH": "", "HOME": str(tmp_path), **sandbox.environment()},
        capture_output=True,
        text=True,
    )

    assert (ran.returncode, ran.stderr) == (0, "")
