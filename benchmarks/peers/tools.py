"""The tools, each as its users run it: a folder of documents in, what it says of each out."""

from __future__ import annotations

import csv
import json
import logging
import os
import subprocess
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Said = dict[str, set[str]]
"""By the name of a file, what a tool finds in it: ids with what they are about, without lines."""

QUIET = {"CHECKOV_RUN_SCA_PACKAGE_SCAN_V2": "false", "NO_COLOR": "1", "PYTHONWARNINGS": "ignore"}


@dataclass(frozen=True)
class Tool:
    """*ask* judges a folder with the programs in *bin*; *takes* are the suffixes it can read."""

    name: str
    requirement: str
    ask: Callable[[Path, Path], Said]
    once: Callable[[Path, Path], list[str]] | None = None
    takes: tuple[str, ...] = (".json",)


def run(
    command: list[str | Path], given: str | None = None, folder: Path | None = None, **more: str
) -> str:
    """Return what *command* prints, whatever its exit code: findings have codes of their own."""
    done = subprocess.run(
        [str(each) for each in command],
        check=False,
        input=given,
        stdin=None if given is not None else subprocess.DEVNULL,
        capture_output=True,
        text=True,
        cwd=folder,
        env={**os.environ, **QUIET, **more},
        timeout=1800,
    )
    return done.stdout


def _documents(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.json"))


def lint(bin_: Path, folder: Path) -> Said:
    said: Said = {path.name: set() for path in _documents(folder)}
    answer = json.loads(
        run([bin_ / "cml-iam", "policy", "lint", "-o", "json", *_documents(folder)])
    )
    for finding in answer["findings"]:
        said[Path(finding["file"]).name].add(_ours(finding, finding["statement"]))
    return said


def audit(bin_: Path, folder: Path) -> Said:
    said: Said = {}
    for path in [*_documents(folder), *sorted(folder.glob("*.md"))]:
        command = [bin_ / "cml-iam", "audit", "--site", folder / "site.toml", "-o", "json", path]
        answer = json.loads(run(command))
        said[path.name] = {_ours(e, e["spot"]["statement"]) for e in answer["findings"]}
    return said


def _ours(finding: dict[str, Any], statement: str | None) -> str:
    return f"{finding['rule']} {statement or ''}"


def parliament(bin_: Path, folder: Path) -> Said:
    said: Said = {}
    for path in _documents(folder):
        # Without a terminal its --file option refuses to run, so the document comes by stdin.
        lines = run([bin_ / "parliament", "--json"], path.read_text("utf-8")).splitlines()
        found = [json.loads(line) for line in lines if line.startswith("{")]
        said[path.name] = {f"{each['issue']} {_plain(each['detail'])}" for each in found}
    return said


_CLOUDSPLAINING = """
import json, sys
from cloudsplaining.command.scan_policy_file import scan_policy
for path in sys.argv[1:]:
    try:
        with open(path) as file:
            found = scan_policy(json.load(file))
    except Exception as error:
        found = {"error": {"findings": [type(error).__name__]}}
    print(json.dumps({"path": path, "found": found}, default=str))
"""


def cloudsplaining(bin_: Path, folder: Path) -> Said:
    said: Said = {}
    for line in run([bin_ / "python", "-c", _CLOUDSPLAINING, *_documents(folder)]).splitlines():
        answer = json.loads(line)
        said[Path(answer["path"]).name] = {
            f"{category} {_plain(each)}"
            for category, found in answer["found"].items()
            if isinstance(found, dict)
            for each in found.get("findings", ())
        }
    return said


def checkov(bin_: Path, folder: Path) -> Said:
    """Ask of each policy as CloudFormation and as Terraform: it reads no policy by itself."""
    forms = folder / "checkov"
    forms.mkdir(exist_ok=True)
    for path in _documents(folder):
        text = path.read_text("utf-8")
        (forms / f"{path.stem}.template.json").write_text(_CLOUDFORMATION % text)
        (forms / f"{path.stem}.tf").write_text(_TERRAFORM % (path.stem.replace(".", "_"), text))
    for path in folder.glob("*.md"):
        (forms / path.name).write_text(path.read_text("utf-8"))
    said: Said = defaultdict(set)
    common = [bin_ / "checkov", "-d", forms, "-o", "json", "--quiet", "--compact"]
    frameworks = (
        ["--framework", "cloudformation", "terraform"],
        ["--framework", "secrets", "--enable-secret-scan-all-files"],
    )
    for framework in frameworks:
        answer = json.loads(run([*common, "--skip-download", *framework]) or "[]")
        for each in answer if isinstance(answer, list) else [answer]:
            for found in each.get("results", {}).get("failed_checks", ()):
                name = Path(found["file_path"]).name
                stem = name.removesuffix(".template.json").removesuffix(".tf").removesuffix(".md")
                end = ".md" if name.endswith(".md") else ".json"
                said[stem + end].add(found["check_id"])
            for file in each.get("results", {}).get("parsing_errors", ()):
                said[Path(file).name.partition(".")[0] + ".json"].add("cannot be parsed")
    return said


_CLOUDFORMATION = """{"AWSTemplateFormatVersion": "2010-09-09", "Resources": {"Policy": {
"Type": "AWS::IAM::ManagedPolicy", "Properties": {"PolicyDocument": %s}}}}
"""
_TERRAFORM = """resource "aws_iam_policy" "%s" {
  policy = jsonencode(%s)
}
"""

_PROWLER_CHECKS = (
    "iam_customer_attached_policy_no_administrative_privileges",
    "iam_no_custom_policy_permissive_role_assumption",
    "iam_policy_allows_privilege_escalation",
    "iam_policy_cloudshell_admin_not_attached",
    "iam_policy_no_full_access_to_cloudtrail",
    "iam_policy_no_full_access_to_kms",
    "iam_policy_no_wildcard_marketplace_subscribe",
)


def prowler(bin_: Path, folder: Path) -> Said:
    """Ask of an account (moto's) that has every document as an attached policy of its own."""
    import boto3
    from botocore.exceptions import ClientError
    from moto.server import ThreadedMotoServer

    keys = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
    server.start()
    host, port = server.get_host_and_port()
    address = f"http://{host}:{port}"
    iam = boto3.client(
        "iam",
        endpoint_url=address,
        region_name="us-east-1",
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
    )
    said: Said = {}
    for path in _documents(folder):
        try:
            made = iam.create_policy(PolicyName=path.stem, PolicyDocument=path.read_text("utf-8"))[
                "Policy"
            ]["Arn"]
        except ClientError:
            continue  # what IAM does not take is in no account
        iam.create_role(RoleName=path.stem, AssumeRolePolicyDocument="{}")
        iam.attach_role_policy(RoleName=path.stem, PolicyArn=made)
        said[path.name] = set()
    try:
        run(
            [
                bin_ / "prowler", "aws", "-z", "--no-banner", "-M", "csv", "-F", "report",
                "-o", folder / "prowler", "-c", *_PROWLER_CHECKS, "--region", "us-east-1",
            ],
            AWS_ENDPOINT_URL=address,
            AWS_DEFAULT_REGION="us-east-1",
            HOME=str(folder),
            **keys,
        )  # fmt: skip
    finally:
        server.stop()
    with (folder / "prowler" / "report.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file, delimiter=";"):
            name = row["RESOURCE_UID"].rpartition("/")[2] + ".json"
            if row["STATUS"] == "FAIL" and name in said:
                said[name].add(row["CHECK_ID"])
    return said


def _plain(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)


TOOLS = (
    Tool(
        "cml-iam audit",
        "cml-iam",
        audit,
        lambda bin_, path: [
            str(bin_ / "cml-iam"), "audit", "--site", str(path.parent / "site.toml"), str(path),
        ],
        (".json", ".md"),
    ),
    Tool(
        "cml-iam policy lint",
        "cml-iam",
        lint,
        lambda bin_, path: [str(bin_ / "cml-iam"), "policy", "lint", str(path)],
    ),
    Tool(
        "parliament",
        "parliament",
        parliament,
        lambda bin_, path: ["sh", "-c", f'"{bin_}/parliament" < "{path}"'],
    ),
    Tool(
        "cloudsplaining",
        "cloudsplaining",
        cloudsplaining,
        lambda bin_, path: [str(bin_ / "cloudsplaining"), "scan-policy-file", "-i", str(path)],
    ),
    Tool(
        "checkov",
        "checkov",
        checkov,
        lambda bin_, path: [
            str(bin_ / "checkov"), "--skip-download", "--quiet", "--compact", "-f",
            str(path.parent / "checkov" / f"{path.stem}.template.json"),
        ],
        (".json", ".md"),
    ),
    Tool("prowler", "prowler", prowler),
)  # fmt: skip
