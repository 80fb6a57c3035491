"""The paths of the README and of the docs' first pages, word for word, in the sandbox."""

from __future__ import annotations

import io
import re
import shlex
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from cml_iam.cli._main import run
from cml_iam.sandbox import Sandbox, start_sandbox
from tests.conftest import REPOSITORY

pytestmark = pytest.mark.long

README = (REPOSITORY / "README.md").read_text("utf-8")
ENDLESS = {"worker watch", "serve"}
TYPED = {
    "bootstrap apply": "y\n",
    "key rotate": "y\n",
    "worker stop": "y\n",
    "worker idle": "y\n",
    "worker terminate": "cml-worker-01\n",
    "bootstrap destroy": "cml-cloud-manager-service\n",
}
"""What a user answers."""

CODES = {
    "bootstrap plan": 6,  # the README says so
    "policy diff": 6,
    "key rotate": 7,  # the old key is watched; `key resume` goes on
}


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@dataclass(frozen=True)
class Line:
    """A command line of the README, and what came of it."""

    command: str
    code: int
    out: str
    err: str


def _section(heading: str) -> str:
    """Return the part of the README below *heading*."""
    return README.split(f"\n## {heading}\n")[1].split("\n## ")[0]


def _lines(section: str) -> list[list[str]]:
    """Return the command lines in the console blocks of *section*."""
    blocks = re.findall(r"```console\n(.*?)```", section, re.DOTALL)
    found = re.findall(r"^\$ cml-iam ((?:[^\n]|(?<=\\)\n)*)", "".join(blocks), re.MULTILINE)
    return [shlex.split(each.replace("\\\n", " "), comments=True) for each in found]


def _path(heading: str) -> list[list[str]]:
    """Return the lines below *heading*; the operator's with the live audit, while workers are."""
    lines = _lines(_section(heading))
    if "operator" not in heading:
        return lines
    return [*lines[:-1], ["audit", "--live"], lines[-1]]


def _named(words: list[str]) -> str:
    groups = ("policy", "bootstrap", "key", "worker")
    return " ".join(words[:2] if words[0] in groups else words[:1])


@pytest.fixture
def walk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[list[list[str]]], list[Line]]]:
    """Type command lines in a new folder, with a profile `admin` and no environment."""
    with start_sandbox() as sandbox:
        _as_administrator(tmp_path, sandbox, monkeypatch)
        yield lambda lines: [_typed(words) for words in lines]


def _as_administrator(folder: Path, sandbox: Sandbox, patch: pytest.MonkeyPatch) -> None:
    environment = sandbox.environment()
    profile = folder / "aws-credentials"
    profile.write_text(
        f"[admin]\naws_access_key_id = {environment.pop('AWS_ACCESS_KEY_ID')}\n"
        f"aws_secret_access_key = {environment.pop('AWS_SECRET_ACCESS_KEY')}\n"
    )
    profile.chmod(0o600)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        patch.delenv(name, raising=False)
    for name, value in environment.items():
        patch.setenv(name, value)
    patch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(profile))
    patch.setenv("XDG_STATE_HOME", str(folder / "state"))
    (folder / "site").mkdir()
    patch.chdir(folder / "site")


def _typed(words: list[str]) -> Line:
    command = _named(words)
    if command in ENDLESS:
        return Line(command, 0, "", "")
    target = Path(words[words.index(">") + 1]) if ">" in words else None
    if target is not None:
        words = words[: words.index(">")]
    if "KEY_ID" in words:
        return Line(command, 0, "", "")  # for a leak: nothing to show here
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as streams:
        streams.setattr("sys.stdin", Terminal(TYPED.get(command, "")))
        streams.setattr("sys.stdout", out)
        streams.setattr("sys.stderr", err)
        code = run(words)
    if target is not None:
        target.write_text(out.getvalue())
    return Line(command, code, out.getvalue(), err.getvalue())


def test_the_paths_end_where_they_promise(walk: Callable[[list[list[str]]], list[Line]]) -> None:
    """In the README's order: what the administrator made is what CI judges and operators use."""
    administrator = walk(_path("For the administrator who sets up an account"))
    ci = walk(_path("For the job that checks every change"))
    operator = walk(_path("For the operator of the workers"))

    for line in (*administrator, *ci, *operator):
        assert line.code == CODES.get(line.command, 0), f"{line.command}: {line.out}{line.err}"
    key = re.search(r"AWS_ACCESS_KEY_ID=(\w+)", Path(".env").read_text())
    assert key is not None
    for line in administrator:
        if line.command in ("bootstrap apply", "key rotate", "key list"):
            assert "from profile `admin`" in line.err, line
    for line in operator:
        if line.command not in ENDLESS:
            assert line.command in ("audit", "doctor") or "profile" not in line.err, line
            assert f"access key {key[1]} from `{Path('.env').absolute()}`" in line.err, line
    secret = re.search(r"AWS_SECRET_ACCESS_KEY=(\S+)", Path(".env").read_text())
    assert secret is not None
    assert not any(secret[1] in line.out + line.err for line in (*administrator, *ci, *operator))


def test_the_first_pages_of_the_docs_end_where_they_promise(
    walk: Callable[[list[list[str]]], list[Line]],
) -> None:
    start = REPOSITORY / "docs" / "start"
    page = {
        name: (start / f"{name}.md").read_text("utf-8") for name in ("new-account", "every-day")
    }

    administrator = walk(_lines(page["new-account"]))
    create, *others = _lines(page["every-day"])
    operator = walk([create, *sorted(others, key=lambda words: "terminate" in words)])

    for line in administrator:
        expected = {**CODES, "health": 8, "doctor": 8}.get(line.command, 0)  # no worker exists yet
        assert line.code == expected, f"{line.command}: {line.out}{line.err}"
    for line in operator:
        assert line.code == CODES.get(line.command, 0), f"{line.command}: {line.out}{line.err}"


def test_the_page_for_ci_ends_where_it_promises(
    walk: Callable[[list[list[str]]], list[Line]],
) -> None:
    lines = _lines((REPOSITORY / "docs" / "start" / "ci.md").read_text("utf-8"))
    new_account = (REPOSITORY / "docs" / "start" / "new-account.md").read_text("utf-8")
    walk(_lines(new_account)[:1])
    for name in ("policy.json", "before.json", "allowed.json"):
        document = "base" if name == "before.json" else "hardened"
        walk([["policy", "render", "--document", document, ">", name]])

    for line in walk([words for words in lines if "--live" not in words]):
        assert line.code == CODES.get(line.command, 0), f"{line.command}: {line.out}{line.err}"


def test_the_page_on_upgrade_and_removal_ends_where_it_promises(
    walk: Callable[[list[list[str]]], list[Line]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (REPOSITORY / "docs" / "upgrade.md").read_text("utf-8")
    upgrade, removal = page.split("\n## Uninstall\n")
    home = tmp_path / "home"
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_STATE_HOME", str(home / ".local" / "state"))
    new_account = (REPOSITORY / "docs" / "start" / "new-account.md").read_text("utf-8")
    walk(_lines(new_account))

    lines = [*_lines(upgrade), *_lines(removal)]
    walked = walk(lines)
    (afterwards,) = walk([["bootstrap", "plan", "--boundary"]])
    kept = sorted(path.name for path in Path().iterdir())
    for line in re.findall(r"^\$ (rm .*)$", removal, re.MULTILINE):
        subprocess.run(["bash", "-c", line], check=True)

    for words, line in zip(lines, walked, strict=True):
        expected = 8 if line.command == "doctor" else 0  # no worker exists
        expected = 6 if "--dry-run" in words else expected
        assert line.code == expected, f"{line.command}: {line.out}{line.err}"
    assert afterwards.code == 6
    assert "create" in afterwards.out
    assert (home / ".local" / "state").is_dir()
    assert kept == [".env", "cml-iam.toml"]
    assert not [path for path in home.rglob("*") if path.is_file()]
