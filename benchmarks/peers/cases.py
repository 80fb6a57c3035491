"""Documents with one fault each, and beside each what the same is without the fault.

A tool finds a fault when it says something of the faulty document that it says of none of its
twins: so a tool that complains of everything finds nothing, and what it is called does not matter.
"""

from __future__ import annotations

import copy
import json
import secrets
import string
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cml_iam.render import Profile, render_policy
from cml_iam.site import parse_site

ROOT = Path(__file__).resolve().parents[2]
Document = dict[str, Any]

SITE = """\
[account]
id = "111122223333"
[restrict]
regions = ["us-east-1", "us-west-2"]
guard_tag = { ManagedBy = "cml-cloud-manager" }
instance_types = ["m5zn.metal", "c5.2xlarge"]
image_owners = ["111122223333"]
"""


@dataclass(frozen=True)
class Case:
    """A fault; *bad* and *twins* are texts, of the kind that *suffix* says."""

    id: str
    fault: str
    bad: str
    twins: tuple[str, ...]
    suffix: str = ".json"


def cases() -> list[Case]:
    return [*_of_the_guide(), *_mutants()]


def base() -> Document:
    return _rendered("base")


def hardened() -> Document:
    return _rendered("hardened")


def _rendered(profile: Profile) -> Document:
    made = json.loads(render_policy(parse_site(SITE), profile).text)
    assert isinstance(made, dict)
    return made


def text(document: Document) -> str:
    return json.dumps(document, indent=2) + "\n"


def policy(*statements: Document) -> Document:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def _snippets() -> list[Document]:
    folder = ROOT / "tests" / "cli" / "snippets"
    found = [json.loads(each.read_text("utf-8")) for each in sorted(folder.glob("*.json"))]
    return [each["Statement"][0] for each in found]


def _of_the_guide() -> list[Case]:
    """The setup guide's own documents, as a reader puts them together."""
    regions, tagged, launch = _snippets()
    whole = base()
    rest = [each for each in whole["Statement"] if each["Sid"] != "EC2InstanceManagement"]
    replaced = policy(*rest, tagged, launch)
    return [
        Case(
            "P1",
            "tag gate that the caller opens: CreateTags on everything beside a tag condition",
            text(replaced),
            (text(policy(*replaced["Statement"], _no_guard_tag())),),
        ),
        Case(
            "P2",
            "hardening added beside the base policy, where it restricts nothing",
            text(policy(*whole["Statement"], regions, tagged, launch)),
            tuple(text(each) for each in (whole, policy(regions), policy(tagged), policy(launch))),
        ),
        Case(
            "P3",
            "RunInstances on instances alone: no launch can work",
            text(policy(launch)),
            (text(policy(_with_all_types(launch))),),
        ),
        Case(
            "P4", "changes on every resource without a condition", text(whole), (text(hardened()),)
        ),
        Case(
            "P5",
            "the region restriction locks the health check out",
            text(policy(regions)),
            (text(policy(regions, _rest_everywhere())),),
        ),
        Case(
            "P6",
            "`c5.*` admits every size, the metal ones too",
            text(policy(*rest, _types(launch, ["c5.*", "c6i.*", "m5.*"]))),
            (text(policy(*rest, _types(launch, ["c5.2xlarge", "m5zn.metal"]))),),
        ),
        _pair_in_a_document(),
    ]


def _no_guard_tag() -> Document:
    """What AWS advises beside a tag condition: nobody sets that tag, in whatever case.

    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/control-access-with-tags.html
    """
    return {
        "Sid": "NobodyMarksWorkers",
        "Effect": "Deny",
        "Action": ["ec2:CreateTags", "ec2:DeleteTags"],
        "Resource": "*",
        "Condition": {"ForAnyValue:StringEqualsIgnoreCase": {"aws:TagKeys": ["ManagedBy"]}},
    }


def _with_all_types(launch: Document) -> Document:
    """The same with every type of resource a launch needs; only instances have a type."""
    types = ("image", "instance", "key-pair", "network-interface", "security-group", "subnet")
    made = copy.deepcopy(launch)
    made["Resource"] = [f"arn:aws:ec2:*:*:{each}/*" for each in (*types, "volume")]
    made["Condition"] = {"StringLikeIfExists": made["Condition"]["StringLike"]}
    return made


def _rest_everywhere() -> Document:
    """What the restricted statement leaves out, the health check's call among it."""
    return {
        "Sid": "Rest",
        "Effect": "Allow",
        "Action": [
            "ec2:DescribeRegions",
            "ec2:DescribeTags",
            "ec2:CreateTags",
            "ec2:DeleteTags",
            "cloudwatch:GetMetricStatistics",
        ],
        "Resource": "*",
    }


def _types(launch: Document, types: list[str]) -> Document:
    made = copy.deepcopy(launch)
    made["Condition"] = {"StringLike": {"ec2:InstanceType": types}}
    return made


def _pair_in_a_document() -> Case:
    """A key pair like a real one, made up anew each time: none may stand in a file of ours."""
    letters = string.ascii_letters + string.digits
    key = "AKIA" + "".join(secrets.choice("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") for _ in range(16))
    secret = "".join(secrets.choice(letters) for _ in range(40))

    def document(key: str, secret: str) -> str:
        return (
            "# Environment\n\n```bash\n"
            f"AWS_ACCESS_KEY_ID={key}\nAWS_SECRET_ACCESS_KEY={secret}\n```\n"
        )

    return Case(
        "P8",
        "a key pair printed in a document",
        document(key, secret),
        (document("AKIA...", "..."),),
        ".md",
    )


def _mutants() -> list[Case]:
    """The hardened rendering with one fault each; the rendering itself is the twin."""
    twin = text(hardened())
    made = []
    for number, (fault, change) in enumerate(MUTATIONS.items(), start=1):
        document = hardened()
        changed = change({each["Sid"]: each for each in document["Statement"]}, document)
        bad = changed if isinstance(changed, str) else text(document)
        assert bad != twin, fault
        made.append(Case(f"M{number:02}", fault, bad, (twin,)))
    return made


Change = Callable[[dict[str, Any], Document], str | None]


def _drop(sid: str, key: str, operator: str = "StringEquals") -> Change:
    def change(sids: dict[str, Any], _: Document) -> None:
        keys = sids[sid]["Condition"][operator]
        del keys[key]
        if not keys:
            del sids[sid]["Condition"][operator]

    return change


def _rename(sid: str, old: str, new: str, operator: str = "StringEquals") -> Change:
    def change(sids: dict[str, Any], _: Document) -> None:
        keys = sids[sid]["Condition"][operator]
        keys[new] = keys.pop(old)

    return change


def _action(sid: str, old: str, new: str | None) -> Change:
    def change(sids: dict[str, Any], _: Document) -> None:
        actions = [each for each in sids[sid]["Action"] if each != old]
        sids[sid]["Action"] = actions + ([new] if new else [])

    return change


def _add(**statement: Any) -> Change:
    def change(_: dict[str, Any], document: Document) -> None:
        document["Statement"].append({"Sid": "Added", "Effect": "Allow", **statement})

    return change


def _without_resource(sid: str, part: str) -> Change:
    def change(sids: dict[str, Any], _: Document) -> None:
        sids[sid]["Resource"] = [each for each in sids[sid]["Resource"] if part not in each]

    return change


def _wildcard_as_text(sids: dict[str, Any], _: Document) -> None:
    condition = sids["LaunchInstance"]["Condition"]
    del condition["StringLike"]
    condition["StringEquals"]["ec2:InstanceType"] = ["c5.*"]


def _other_account(_: dict[str, Any], document: Document) -> str:
    return text(document).replace(
        '"arn:aws:ec2:*:111122223333:subnet/*"', '"arn:aws:ec2:*:111122223334:subnet/*"'
    )


def _sid_twice(sids: dict[str, Any], _: Document) -> None:
    sids["ReadMetrics"]["Sid"] = "ReadRegions"


def _too_large(_: dict[str, Any], document: Document) -> None:
    for each in document["Statement"]:
        if each["Sid"] == "LaunchInstance":
            types = [f"c5.{n}xlarge" for n in range(400)]
            each["Condition"]["StringLike"]["ec2:InstanceType"] = types


def _effect(sids: dict[str, Any], _: Document) -> None:
    sids["ReadMetrics"]["Effect"] = "allow"


MUTATIONS: dict[str, Change] = {
    "region condition missing where workers are operated": _drop(
        "OperateWorkers", "aws:RequestedRegion"
    ),
    "tag condition missing where workers are operated": _drop(
        "OperateWorkers", "aws:ResourceTag/ManagedBy"
    ),
    "tag key misspelt in the condition: workers cannot be operated": _rename(
        "OperateWorkers", "aws:ResourceTag/ManagedBy", "aws:ResourceTag/ManagedbY2"
    ),
    "instance types not restricted": _drop("LaunchInstance", "ec2:InstanceType", "StringLike"),
    "images not restricted": _drop("LaunchFromOwnersImage", "ec2:Owner"),
    "any instance may be tagged as a worker": _drop("TagAtLaunch", "ec2:CreateAction"),
    "an action misspelt": _action(
        "OperateWorkers", "ec2:TerminateInstances", "ec2:TerminateInstance"
    ),
    "a condition key misspelt": _rename(
        "LaunchInstance", "ec2:InstanceType", "ec2:InstanceTypes", "StringLike"
    ),
    "a wildcard that its operator takes as text": _wildcard_as_text,
    "every action allowed": _add(Action="*", Resource="*"),
    "every role may be passed": _add(Action="iam:PassRole", Resource="*"),
    "the caller may attach policies to itself": _add(Action="iam:AttachUserPolicy", Resource="*"),
    "every action of EC2 allowed": _add(Action="ec2:*", Resource="*"),
    "launching without the network interface": _without_resource(
        "LaunchSupportingResources", "network-interface"
    ),
    "an action the manager needs is missing": _action("OperateWorkers", "ec2:StopInstances", None),
    "a Deny that takes back what is needed": _add(
        Effect="Deny", Action="ec2:TerminateInstances", Resource="*"
    ),
    "another account in one ARN": _other_account,
    "a Sid used twice": _sid_twice,
    "Effect in lower case": _effect,
    "a comma too many": lambda _, document: text(document).replace('"*"\n', '"*",\n', 1),
    "larger than IAM stores": _too_large,
}
