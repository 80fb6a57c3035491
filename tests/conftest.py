"""What all tests share: sites, and the command line run in a folder of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

import pytest
from hypothesis import settings

from cml_iam.restrict import RESTRICTED as RESTRICTED_ROWS
from cml_iam.site import Restrictions, Site, Tag
from tests.worlds import read_aws_policies_once

# How long an example takes depends on what else the machine does; no test depends on time.
settings.register_profile("cml-iam", deadline=None)
settings.load_profile("cml-iam")

NO_SKIP = "CML_IAM_NO_SKIP" in os.environ
"""Set by `make test-tools`: what is skipped for want of a program has failed."""

Test = TypeVar("Test")

REPOSITORY = Path(__file__).parents[1]
SHARED = REPOSITORY.parent / "shared"

RESTRICTED = Restrictions(
    regions=("us-east-1", "us-west-2"),
    guard_tag=Tag("ManagedBy", "cml-cloud-manager"),
    instance_types=("m5zn.metal", "c5.*", "c6i.*", "m5.*"),
    image_owners=("111122223333",),
    images=MappingProxyType({"us-east-1": ("ami-0a1b2c3d4e5f60001",)}),
)


def without(site: Site, *names: str) -> Site:
    """Return *site* without the restrictions *names*."""
    empty = Restrictions()
    options = (option for row in RESTRICTED_ROWS if row.name in names for option in row.options)
    dropped: dict[str, Any] = {option.name: getattr(empty, option.name) for option in options}
    return replace(site, restrict=replace(site.restrict, **dropped))


def tracked(folder: str = ".") -> list[str]:
    """Return the files in *folder* that git tracks; in an unpacked source distribution, all files.

    What is made by working there (.venv, build, caches) is not among them.
    """
    listed = subprocess.run(
        ["git", "ls-files", "-z", folder], cwd=REPOSITORY, capture_output=True, text=True
    )
    if (REPOSITORY / ".git").exists() and listed.returncode == 0:
        names = [name for name in listed.stdout.split("\0") if name]
    else:
        ignored = (REPOSITORY / ".gitignore").read_text().split()
        left_out = {"PKG-INFO", *(name.strip("/") for name in ignored)}
        files = (path.relative_to(REPOSITORY) for path in (REPOSITORY / folder).rglob("*"))
        names = [str(path) for path in files if not left_out & set(path.parts)]
    return [name for name in names if (REPOSITORY / name).is_file()]


def needs(*programs: str) -> Callable[[Test], Test]:
    """Mark a test that runs *programs*: skipped where one is missing, run by `make test-tools`."""
    missing = [program for program in programs if shutil.which(program) is None]

    def mark(test: Test) -> Test:
        skip = pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}")
        return pytest.mark.tools(skip(test))

    return mark


PLUGINS = next(
    filter(Path.is_dir, (REPOSITORY / "build" / "tf-plugins", *Path("/").glob("*/tf-plugins"))),
    None,
)
"""A mirror of Terraform's provider for AWS, since tests load nothing from the network."""


def needs_terraform(test: Test) -> Test:
    """Mark a test that runs Terraform with its provider for AWS."""
    skip = pytest.mark.skipif(PLUGINS is None, reason="Terraform's provider for AWS is not here")
    return needs("terraform")(pytest.mark.terraform(skip(test)))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail a test that is skipped although every program has been installed for it."""
    report = yield
    if NO_SKIP and report.skipped and item.get_closest_marker("tools"):
        report.outcome = "failed"
        report.longrepr = f"skipped, though it must run here: {report.longrepr}"
    return report


@pytest.fixture
def site() -> Site:
    """A site with all four restrictions."""
    return Site(account="111122223333", restrict=RESTRICTED)


@pytest.fixture(autouse=True)
def _no_ambient_aws(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No test sees the machine's own AWS configuration, settings or state."""
    for name in list(os.environ):
        if name.startswith(("AWS_", "CML_IAM_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "no-aws-config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "no-aws-credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.fixture(scope="session", autouse=True)
def _policies_of_aws_are_read_once() -> Iterator[None]:
    """Every sandbox of a test process shares AWS's policies, which moto would read for each."""
    from cml_iam.sandbox._moto import Moto

    start = Moto.__init__

    def start_with_policies(self: Moto, account: str) -> None:
        start(self, account)
        read_aws_policies_once()

    patch = pytest.MonkeyPatch()
    patch.setattr(Moto, "__init__", start_with_policies)
    yield
    patch.undo()


@dataclass(frozen=True, slots=True)
class Ran:
    """What a run of the command line did."""

    code: int
    out: str
    err: str


@pytest.fixture
def cml_iam(
    capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[object]:
    """Run the command line in an empty folder: `cml_iam("policy", "render")`.

    What it prints as JSON must follow the published schema.
    """
    from cml_iam.cli._main import run
    from tests.output_schema import check

    monkeypatch.chdir(tmp_path)

    def call(*arguments: str | Path) -> Ran:
        capfd.readouterr()
        words = [str(argument) for argument in arguments]
        code = run(words)
        captured = capfd.readouterr()
        check(words, captured.out)
        return Ran(code, captured.out, captured.err)

    return call
