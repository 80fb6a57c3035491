"""What `import cml_iam` offers: a list that changes on purpose only, loaded when it is used."""

from __future__ import annotations

import subprocess
import sys

import pytest

import cml_iam

NAMES = [
    "AsyncWorkerManager",
    "CmlIamError",
    "Launch",
    "Policies",
    "Request",
    "WorkerManager",
    "compile_policies",
    "connect",
    "derive_expectations",
    "lint_policies",
    "load_policy",
    "load_site",
    "prove_site",
    "render_policy",
    "verify_offline",
    "within",
]


def test_the_public_names_are_these() -> None:
    assert cml_iam.__all__ == NAMES
    assert 12 <= len(NAMES) <= 16
    assert set(NAMES) < set(dir(cml_iam))


def test_every_public_name_is_there_and_documented() -> None:
    for name in NAMES:
        value = getattr(cml_iam, name)
        assert value.__doc__, name


@pytest.mark.parametrize(
    ("statement", "loaded"),
    [
        ("import cml_iam", ["cml_iam", "cml_iam._version"]),
        ("from cml_iam import errors", ["cml_iam", "cml_iam._version", "cml_iam.errors"]),
    ],
)
def test_importing_the_package_loads_none_of_its_rooms(statement: str, loaded: list[str]) -> None:
    code = f"import sys; {statement}; print(sorted(m for m in sys.modules if 'cml_iam' in m))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert ran.stdout.strip() == str(loaded)
