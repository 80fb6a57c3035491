"""What is built has everything that it needs, and nothing that git does not know."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from cml_iam import __version__
from cml_iam.files import shipped
from tests.conftest import REPOSITORY, tracked


@pytest.fixture(scope="session")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source distribution, built from a copy of what git tracks and a file that it ignores."""
    copy = tmp_path_factory.mktemp("source")
    for name in tracked("."):
        target = copy / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((REPOSITORY / name).read_bytes())
    (copy / "dist").mkdir()
    (copy / "dist" / "scratch.json").write_text("{}")
    (copy / "policies" / "__pycache__").mkdir()
    (copy / "policies" / "__pycache__" / "scratch.json").write_text("{}")
    return _built("sdist", copy, tmp_path_factory)


@pytest.fixture(scope="session")
def wheel(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the source distribution alone, as an installer without a wheel does."""
    unpacked = tmp_path_factory.mktemp("unpacked")
    shutil.unpack_archive(sdist, unpacked, filter="data")
    (source,) = unpacked.iterdir()
    return _built("wheel", source, tmp_path_factory)


def _built(kind: str, source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dist")
    build = (
        "import hatchling.build, os, sys; "
        "os.chdir(sys.argv[2]); getattr(hatchling.build, f'build_{sys.argv[1]}')(sys.argv[3])"
    )
    subprocess.run(
        [sys.executable, "-c", build, kind, source, out], check=True, capture_output=True
    )
    (path,) = out.iterdir()
    return path


def test_the_source_distribution_has_every_tracked_file_and_no_other(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        names = {member.name.split("/", 1)[1] for member in archive if member.isfile()}

    assert names == {*tracked("."), "PKG-INFO"}


def test_the_wheel_ships_every_tracked_data_file(wheel: Path) -> None:
    shipped_names = set(zipfile.ZipFile(wheel).namelist())
    wanted = {
        f"cml_iam/_data/{name}" for kind in ("policies", "templates") for name in tracked(kind)
    }

    assert wanted <= shipped_names
    assert "cml_iam/_data/policies/permissions.toml" in wanted


def test_the_wheel_leaves_out_what_git_ignores(wheel: Path) -> None:
    assert not [name for name in zipfile.ZipFile(wheel).namelist() if "scratch" in name]


def test_the_wheel_has_the_package_its_types_and_the_grammar(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())

    assert {"cml_iam/py.typed", "cml_iam/policy/grammar.schema.json"} <= names
    assert not [name for name in names if name.startswith("tests/")]


def test_an_installed_wheel_renders_the_base_policy(wheel: Path, tmp_path: Path) -> None:
    """Unpacked where no checkout is near, as an installation is."""
    shutil.unpack_archive(wheel, tmp_path / "site", "zip")
    command = [sys.executable, "-m", "cml_iam", "policy", "render", "--document", "base"]

    ran = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, env={"PYTHONPATH": "site"}
    )

    assert ran.returncode == 0, ran.stderr
    assert '"EC2InstanceManagement"' in ran.stdout


def test_an_editable_install_finds_the_checkout() -> None:
    assert (shipped("policies") / "permissions.toml").is_file()


@pytest.mark.parametrize(
    "name", ["Dockerfile", "compose.yaml", "ci/container.sh", "deploy/kubernetes/deployment.yaml"]
)
def test_the_image_is_tagged_with_the_version(name: str) -> None:
    tags = re.findall(r"\bcml-iam:(\d[\w.]*)", (REPOSITORY / name).read_text("utf-8"))

    assert set(tags) == {__version__}


def test_the_changelog_has_a_dated_section_of_the_version_below_what_is_not_released() -> None:
    text = (REPOSITORY / "CHANGELOG.md").read_text("utf-8")
    first, second, *_ = re.findall(r"^## \[(.+?)\](?: - (\d{4}-\d\d-\d\d))?$", text, re.MULTILINE)

    assert first == ("Unreleased", "")
    assert second[0] == __version__
    assert second[1]
