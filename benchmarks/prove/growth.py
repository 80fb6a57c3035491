"""What a proof costs as policies grow, on the published pairs, and at the size IAM allows.

python benchmarks/prove/growth.py [--pairs FILE] [--readme]

CPU time of one process, first answers: no question is asked twice, and texts remembered between
questions are forgotten before each. `--readme` writes the tables into the README beside this file.
"""

from __future__ import annotations

import argparse
import functools
import gc
import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from random import Random
from statistics import median

from cml_iam.policy import MANAGED_POLICY_CHARACTERS, load_policy, policy_size
from cml_iam.prove import Policies, Verdict, differences, within

README = Path(__file__).with_name("README.md")
MARK = "<!-- made by growth.py -->"
REMEMBERING = [
    each
    for each in gc.get_objects()
    if isinstance(each, type(functools.lru_cache(len)))
    and each.__module__.startswith(("cml_iam.prove", "cml_iam.space"))
]
ACTIONS = ["StartInstances", "StopInstances", "TerminateInstances", "RunInstances", "CreateTags"]


def said(condition: dict, effect: str = "Allow", **elements: object) -> dict:
    made = {"Effect": effect, "Action": "ec2:StopInstances", "Resource": "*", **elements}
    return made | ({"Condition": condition} if condition else {})


def side(*statements: dict) -> Policies:
    return Policies(
        identity=(load_policy({"Version": "2012-10-17", "Statement": list(statements)}),)
    )


def of_policy(policy: dict) -> Policies:
    document = load_policy(policy)
    if any(statement.principal or statement.not_principal for statement in document.statements):
        return Policies(resource=document)
    return Policies(identity=(document,))


def forget() -> None:
    """Forget what the proof remembers of earlier questions; not AWS's facts, read once."""
    for each in REMEMBERING:
        each.cache_clear()


def timed(candidate: Policies, reference: Policies) -> tuple[float, Verdict]:
    """Return the milliseconds of CPU of one answer, and the answer."""
    forget()
    gc.collect()
    start = time.process_time()
    verdict = within(candidate, reference)
    return (time.process_time() - start) * 1e3, verdict


# -- growth: a `holds` that needs all of the reference, and the same with one piece missing


def by_statements(count: int) -> tuple[Policies, Policies]:
    """One statement for all of 10.0.0.0/8 split into *count* statements."""
    whole = said({"IpAddress": {"aws:SourceIp": [block(n, count) for n in range(count)]}})
    parts = [said({"IpAddress": {"aws:SourceIp": block(n, count)}}) for n in range(count)]
    return side(whole), side(*parts)


def block(number: int, count: int) -> str:
    return f"10.{number * 256 // count}.0.0/16"


def by_keys(count: int) -> tuple[Policies, Policies]:
    """Everything, and the same by cases: some key is odd, or all are even."""
    keys = [f"my:key{n}" for n in range(count)]
    odd = [said({"StringEquals": {key: "odd"}}) for key in keys]
    return side(said({})), side(*odd, said({"StringNotEquals": dict.fromkeys(keys, "odd")}))


def by_values(count: int) -> tuple[Policies, Policies]:
    """A list of *count* values in one statement, and in two halves."""
    values = [f"value-{n:04}" for n in range(count)]
    key, half = "aws:ResourceTag/Name", count // 2
    return (
        side(said({"StringEquals": {key: values}})),
        side(*(said({"StringEquals": {key: part}}) for part in (values[:half], values[half:]))),
    )


def by_patterns(count: int) -> tuple[Policies, Policies]:
    """*count* patterns of prefixes in one statement, and one in each."""
    patterns = [f"team-{n:03}-*" for n in range(count)]
    key = "aws:ResourceTag/Name"
    return (
        side(said({"StringLike": {key: patterns}})),
        side(*(said({"StringLike": {key: pattern}}) for pattern in patterns)),
    )


def by_resources(count: int) -> tuple[Policies, Policies]:
    arns = [f"arn:aws:ec2:*:111122223333:instance/i-{n:05}*" for n in range(count)]
    return side(said({}, Resource=arns)), side(*(said({}, Resource=arn) for arn in arns))


GROWTH = {
    "statements": by_statements,
    "keys": by_keys,
    "values of a key": by_values,
    "patterns of a key": by_patterns,
    "resources": by_resources,
}
SIZES = (4, 16, 64, 128)


def growth_table() -> str:
    lines = ["| what grows | " + " | ".join(map(str, SIZES)) + " |", "|---|" + "---|" * len(SIZES)]
    for name, make in GROWTH.items():
        cells = []
        for size in SIZES:
            took, verdict = timed(*make(size))
            assert verdict.holds, (name, size, verdict)
            cells.append(f"{took:.0f} ms")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


# -- policies as large as IAM takes


def large(random: Random) -> dict:
    """Return a random policy just under the size of a managed policy."""
    statements: list[dict] = []
    while True:
        tag = f"aws:ResourceTag/T{random.randrange(6)}"
        wanted = [random.choice("abc") + "*" + random.choice("xyz") for _ in range(2)]
        condition = {"StringLike": {tag: wanted}}
        if random.random() < 0.5:
            condition["IpAddress"] = {"aws:SourceIp": f"10.{random.randrange(256)}.0.0/16"}
        if random.random() < 0.4:
            regions = random.sample(["us-east-1", "us-west-2", "eu-west-1"], 2)
            condition["StringNotEquals"] = {"aws:RequestedRegion": regions}
        kind = random.choice(["instance", "volume", "image", "*"])
        statements.append(
            said(
                condition,
                "Allow" if random.random() < 0.75 else "Deny",
                Action=[f"ec2:{each}" for each in random.sample(ACTIONS, 2)],
                Resource=f"arn:aws:ec2:{random.choice(['*', 'us-*'])}:111122223333:{kind}/*",
            )
        )
        made = {"Version": "2012-10-17", "Statement": statements}
        if policy_size(json.dumps(made)) > MANAGED_POLICY_CHARACTERS:
            return {**made, "Statement": statements[:-1]}


def mutant(policy: dict, random: Random) -> dict:
    made = json.loads(json.dumps(policy))
    for each in random.sample(made["Statement"], 2):
        each["Condition"].popitem()
    return made


def large_line(pairs: int = 40) -> str:
    times, answers = [], []
    for seed in range(pairs):
        random = Random(seed)
        policy = large(random)
        other = mutant(policy, random) if seed % 2 else large(random)
        took, verdict = timed(of_policy(other), of_policy(policy))
        times.append(took)
        answers.append(verdict.answer)
    told = ", ".join(f"{answers.count(a)} {a}" for a in ("holds", "broken", "undecided"))
    return (
        f"{pairs} pairs of policies of 6,144 characters: median {median(times):.0f} ms, "
        f"longest {max(times):.0f} ms ({told})."
    )


def pairs_line(path: Path) -> str:
    if not path.exists():
        return "The published pairs were not there."
    times, undecided = [], 0
    for line in path.read_text("utf-8").splitlines():
        pair = json.loads(line)
        a, b = of_policy(pair["policy_a"]), of_policy(pair["policy_b"])
        ways = [(b, a)] if pair["expected"] in {"b_within_a", "b_exceeds_a"} else [(b, a), (a, b)]
        answers = [timed(*way) for way in ways]
        times.append(sum(took for took, _ in answers))
        undecided += any(verdict.answer == "undecided" for _, verdict in answers)
    times.sort()
    return (
        f"{len(times)} published pairs, both directions where the label needs them and both "
        f"readings of wildcards: median {median(times):.1f} ms, 99th percentile "
        f"{times[int(len(times) * 0.99)]:.0f} ms, longest {times[-1]:.0f} ms, "
        f"{undecided} undecided."
    )


def compared_line(path: Path) -> str:
    """Both directions of the published pairs: as `within` answers them, and with differences."""
    if not path.exists():
        return "The published pairs were not there."
    asked, compared = [], []
    for line in path.read_text("utf-8").splitlines():
        pair = json.loads(line)
        a, b = of_policy(pair["policy_a"]), of_policy(pair["policy_b"])
        asked.append(sum(timed(*way)[0] for way in ((a, b), (b, a))))
        forget()
        start = time.process_time()
        differences(a, b)
        compared.append((time.process_time() - start) * 1e3)
    told = []
    for name, times in (("`within` in both directions", asked), ("`differences`", compared)):
        times.sort()
        most = times[int(len(times) * 0.99)]
        told.append(f"{name}: median {median(times):.1f} ms, 99th percentile {most:.0f} ms")
    return f"The same {len(asked)} pairs, side by side: {'; '.join(told)}."


def start_line() -> str:
    code = (
        "import time; from cml_iam.prove import Policies, Shape, never\n"
        "from cml_iam.policy import load_policy\n"
        "p = Policies(identity=(load_policy({'Version': '2012-10-17', 'Statement': [{'Effect':"
        "'Allow', 'Action': 'ec2:StopInstances', 'Resource': '*', 'Condition': {'StringEquals':"
        "{'aws:ResourceTag/a': 'b'}}}]}),))\n"
        "never(p, Shape(['ec2:StopInstances'])); print(time.process_time())"
    )
    took = [
        float(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout)
        for _ in range(5)
    ]
    return f"From process start to the first answer: {median(took) * 1e3:.0f} ms."


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--pairs", type=Path, default=Path("../shared/conformance/proof_pairs.jsonl")
    )
    parser.add_argument("--readme", action="store_true")
    options = parser.parse_args()
    lines = [growth_table(), large_line(), pairs_line(options.pairs)]
    lines += [compared_line(options.pairs), start_line()]
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    lines.append(f"Most memory of the whole process: {memory:.0f} MB.")
    text = "\n\n".join(lines)
    print(text)
    if options.readme:
        before, _, rest = README.read_text("utf-8").partition(MARK)
        _, _, after = rest.partition(MARK)
        README.write_text(f"{before}{MARK}\n\n{text}\n\n{MARK}{after}", "utf-8")


if __name__ == "__main__":
    main()
