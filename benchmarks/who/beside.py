"""Ask ours, iam-lens and PMapper one question about every principal of an account.

    PEERS=FOLDER python benchmarks/who/beside.py ACCOUNT_FOLDER WORK_FOLDER

ACCOUNT_FOLDER holds gaad.json, org.json and expected.json; the README says what FOLDER holds. Each
contender is one process: its CPU-seconds and peak memory are those of the process.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
OWN = ("yes", "depends")


def commands(peers: Path, account: Path, work: Path) -> dict[str, list[str]]:
    """Return the command of each contender that is there."""
    ours = [sys.executable, str(HERE / "contender.py")]
    found = {name: [*ours, name, str(account)] for name in ("cml-iam", "cml-iam-steps")}
    if (peers / "node_modules" / "@cloud-copilot" / "iam-lens").is_dir():
        lens = ["node", str(HERE / "contender.mjs")]
        store = str(work / "store")
        subprocess.run([*lens, "prepare", str(account), store], check=True)
        found["iam-lens"] = [*lens, "ask", str(account), store]
    python = peers / "pmapper" / "bin" / "python"
    if python.exists():
        found["pmapper"] = [str(python), str(HERE / "contender.py"), "pmapper", str(account)]
    return found


def measure(command: list[str]) -> tuple[dict[str, str], float, int]:
    """Return the answers of *command*, its CPU-seconds and its peak memory in MiB."""
    with tempfile.TemporaryFile("w+") as out:
        process = subprocess.Popen(command, stdout=out)
        _, status, used = os.wait4(process.pid, 0)
        if status:
            raise SystemExit(f"failed: {' '.join(command)}")
        out.seek(0)
        return json.load(out), used.ru_utime + used.ru_stime, used.ru_maxrss // 1024


def scores(answers: dict[str, str], expected: list[dict[str, str]]) -> str:
    """Say how many hand-made principals are answered right, and how many paths are found."""
    own = {
        each["arn"]: answer if answer in OWN else "no"
        for each in expected
        for answer in (answers.get(each["arn"], "no"),)
    }
    possible = sum((own[e["arn"]] == "no") == (e["answer"] == "no") for e in expected)
    exact = sum(own[e["arn"]] == e["answer"] for e in expected)
    hidden = [e["arn"] for e in expected if e["via"] and e["answer"] == "no"]
    paths = sum(answers.get(arn) == "by steps" for arn in hidden)
    return (
        f"possible or not {possible} of {len(expected)}, exact {exact} of {len(expected)},"
        f" paths {paths} of {len(hidden)}"
    )


def main() -> None:
    """Print one line for each contender."""
    account, work = Path(sys.argv[1]), Path(sys.argv[2])
    peers = Path(os.environ.get("PEERS", HERE / "peers")).resolve()
    expected = json.loads((account / "expected.json").read_text())["principals"]
    ours: dict[str, str] = {}
    for name, command in commands(peers, account, work).items():
        answers, seconds, memory = measure(command)
        ours = ours or answers
        differ = sum(
            (answer in OWN) != (answers.get(arn, "no") in OWN) for arn, answer in ours.items()
        )
        print(
            f"{name:14}{seconds:8.1f} CPU-s{memory:6} MiB  {scores(answers, expected)};"
            f" possible where ours is not, or the reverse: {differ} of {len(ours)}",
            flush=True,
        )


if __name__ == "__main__":
    main()
