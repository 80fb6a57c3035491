"""What other tools find in the same policies, how long they take, how large they are.

    python benchmarks/peers/run.py --peers FOLDER [--install] [--write docs/peers.md]

FOLDER has a virtual environment for each tool, named as it is on PyPI, and one named cml-iam;
--install makes those that are missing (prowler alone takes five minutes and 2.3 GB). A tool that
is not there is left out. The requirements of `.[sandbox]` run the account that prowler is asked of.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from cases import ROOT, SITE, Case, base, cases, hardened, text
from tools import QUIET, TOOLS, Said, Tool

HEAD = """\
# What other tools find in the same policies

Made by `python benchmarks/peers/run.py --peers FOLDER --install --write docs/peers.md`; the
documents are in [benchmarks/peers/cases.py](../benchmarks/peers/cases.py). P… are the documents of
the setup guide as a reader would combine them; M… are our hardened policy with one fault added.

A tool **finds** a fault if it reports something for the faulty document that it reports for none of
its twins, which are the same documents without the fault. A tool that reports everything therefore
finds nothing, and its wording does not matter. This is generous: a tool that notices the difference
for another reason counts as well. `n/a` means that the tool cannot read this kind of document.
"""


@dataclass
class Result:
    """What one tool came to; seconds None where one document cannot be asked alone."""

    tool: Tool
    version: str
    megabytes: int
    found: dict[str, bool | None] = field(default_factory=dict)
    noise: int | None = 0
    seconds: float | None = None
    total: float = 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peers", type=Path, required=True)
    parser.add_argument("--install", action="store_true")
    parser.add_argument("--write", type=Path)
    given = parser.parse_args()
    made = cases()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(folder, made)
        results = []
        for tool in TOOLS:
            bin_ = given.peers / tool.requirement / "bin"
            if given.install and not bin_.exists():
                install(given.peers / tool.requirement, tool.requirement)
            if (bin_ / "python").exists():
                print(f"asking {tool.name}", file=sys.stderr)
                results.append(ask(tool, bin_.resolve(), folder, made))
    page = HEAD + table(made, results) + tail(made, results)
    if given.write:
        given.write.write_text(page, "utf-8")
    print(page)


def install(folder: Path, requirement: str) -> None:
    """Put a tool into an environment of its own, ours from this checkout."""
    print(f"installing {requirement}", file=sys.stderr)
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    what = str(ROOT) if requirement == "cml-iam" else requirement
    pip = [folder / "bin" / "python", "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    subprocess.run([*pip, what], check=True)


def write(folder: Path, made: list[Case]) -> None:
    (folder / "site.toml").write_text(SITE)
    (folder / "hardened.json").write_text(text(hardened()))
    (folder / "base.json").write_text(text(base()))
    for case in made:
        (folder / f"{case.id}{case.suffix}").write_text(case.bad)
        for twin in case.twins:
            (folder / twin_name(twin, case.suffix)).write_text(twin)


def twin_name(twin: str, suffix: str) -> str:
    """Return the name of a twin's file: many faults have the same, which is asked once."""
    return f"twin-{hashlib.sha256(twin.encode()).hexdigest()[:8]}{suffix}"


def ask(tool: Tool, bin_: Path, folder: Path, made: list[Case]) -> Result:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    said = tool.ask(bin_, folder)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    total = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    result = Result(tool, version(tool, bin_), size(bin_), total=total)
    for case in made:
        result.found[case.id] = found(tool, case, said)
    result.noise = len(said["hardened.json"]) if "hardened.json" in said else 0
    if tool.once:
        result.seconds = statistics.median(
            once(tool.once(bin_, folder / "base.json")) for _ in "abc"
        )
    return result


def found(tool: Tool, case: Case, said: Said) -> bool | None:
    if case.suffix not in tool.takes:
        return None
    name = f"{case.id}{case.suffix}"
    if tool.name == "prowler" and name not in said:
        return None  # no account has such a policy
    usual = set().union(*(said.get(twin_name(e, case.suffix), set()) for e in case.twins))
    return bool(said.get(name, set()) - usual)


def once(command: list[str]) -> float:
    """Return the CPU-seconds of a run: the clock's would tell what else the machine does."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    # Whatever its exit code: findings have codes of their own.
    environment = {**os.environ, **QUIET}
    subprocess.run(
        command, check=False, capture_output=True, stdin=subprocess.DEVNULL, env=environment
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def version(tool: Tool, bin_: Path) -> str:
    program = "from importlib.metadata import version; import sys; print(version(sys.argv[1]))"
    command = [bin_ / "python", "-c", program, tool.requirement]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def size(bin_: Path) -> int:
    """Return the megabytes of what was installed, without pip itself."""
    (packages,) = (bin_.parent / "lib").glob("python*/site-packages")
    own = ("pip", "setuptools", "pkg_resources", "_distutils_hack")
    files = (
        each
        for each in packages.rglob("*")
        if each.is_file() and not each.relative_to(packages).parts[0].startswith(own)
    )
    return round(sum(file.stat().st_size for file in files) / 1e6)


WORD = {True: "✔ found", False: "✖ missed", None: "n/a"}


def table(made: list[Case], results: list[Result]) -> str:
    rows = [
        ["", "fault", *(result.tool.name for result in results)],
        ["---", "---", *("---" for _ in results)],
        *(
            [case.id, case.fault, *(WORD[result.found[case.id]] for result in results)]
            for case in made
        ),
        [
            "",
            "**found**",
            *(f"**{sum(v is True for v in r.found.values())} of {len(made)}**" for r in results),
        ],
        ["", "findings for the hardened policy itself", *(str(result.noise) for result in results)],
        [
            "",
            "CPU-seconds for one document, from process start",
            *(seconds(result) for result in results),
        ],
        ["", "megabytes installed", *(str(result.megabytes) for result in results)],
        ["", "version", *(result.version for result in results)],
    ]
    return "\n" + "\n".join(f"| {' | '.join(row)} |" for row in rows) + "\n"


def seconds(result: Result) -> str:
    return f"{result.seconds:.1f}" if result.seconds else f"{result.total:.0f} (all, in an account)"


def tail(made: list[Case], results: list[Result]) -> str:
    ours = [result for result in results if result.tool.requirement == "cml-iam"]
    others = [result for result in results if result.tool.requirement != "cml-iam"]
    missed = [
        f"{case.id} ({', '.join(other.tool.name for other in others if other.found[case.id])})"
        for case in made
        if not any(our.found[case.id] for our in ours)
        and any(other.found[case.id] for other in others)
    ]
    alone = [
        case.id
        for case in made
        if any(our.found[case.id] for our in ours)
        and not any(other.found[case.id] for other in others)
    ]
    return f"""
Found only by ours: {", ".join(alone) or "none"}. Found by another tool but not by ours: \
{", ".join(missed) or "none"}.

How to read it:

- `cml-iam audit` gets the site file, which states the intent; a linter, including
  `cml-iam policy lint`, has only the policy text. A tool for policies in general cannot know which
  actions *this* manager needs, so missing those faults is not a defect.
- parliament and cloudsplaining check actions of every service; this comparison uses only the
  documents of CML Cloud Manager. checkov gets each policy as CloudFormation and as Terraform,
  because it does not check a policy in a file of its own. prowler checks an account, and policies
  are a small part of that: users without MFA, root keys and much more are not compared here.
- For P1, checkov reports only that the resource is `*` (CKV_AWS_355, in Terraform only), which is
  P4, and no longer reports it if a Deny closes the gate. It does not report that the caller can
  open the gate. cloudsplaining lists CreateTags as unrestricted even if the gate is closed.
- We chose the faults: those of the guide, and common mistakes in policies of this kind. Faults that
  other tools find in other kinds of policies are not included.
- The size is that of all installed packages, without pip. Times are medians of three runs on
  {platform.machine()}, Python {platform.python_version()}.
"""


if __name__ == "__main__":
    main()
