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
DOCS = Path(__file__).parents[1] / "docs"
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with start_sandbox() as running:
        yield running


def examples() -> list[object]:
    return [
        pytest.param(code, id=f"{page.stem}-{number}")
        for page in (DOCS / "python.md", DOCS / "cloud-manager.md")
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
    assert ran.stderr == ""
