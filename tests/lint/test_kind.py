"""What a policy is for is recognized from the document.

https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies.html
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from cml_iam.lint import lint_text, lint_texts, recognized_kind

GRANT = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}
USER = {"AWS": "arn:aws:iam::111122223333:user/a"}


def policy(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (policy(GRANT), "identity"),
        (GRANT, "identity"),
        ({"Version": "2012-10-17", "Statement": GRANT}, "identity"),
        (policy({**GRANT, "Effect": "Deny", "Action": "*"}), "identity"),
        (policy({**GRANT, "Principal": USER}), "resource"),
        ({**GRANT, "Principal": USER}, "resource"),
        (policy({**GRANT, "NotPrincipal": USER, "Effect": "Deny"}), "resource"),
        (policy({"Effect": "Allow", "Action": "ecr:GetImage", "Principal": USER}), "resource"),
        (policy({"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": USER}), "trust"),
        (policy({"Effect": "Allow", "Action": ["sts:AssumeRole"], "Principal": "*"}), "trust"),
        (policy({"Effect": "Allow", "Action": "ec2:RunInstances", "Principal": USER}), "trust"),
        (policy({"Effect": "Allow", "Action": "sts:AssumeRole"}), "trust"),
        (policy({**GRANT, "Action": "sts:AssumeRole"}), "identity"),
        (policy({**GRANT, "Effect": "Deny", "Principal": "*"}), "rcp"),
        (policy({**GRANT, "Effect": "Deny", "Principal": {"AWS": "*"}, "Resource": ["*"]}), "rcp"),
        (
            policy(
                {
                    "Effect": "Deny",
                    "Principal": "*",
                    "Action": ["sts:AssumeRole", "s3:*"],
                    "Resource": "*",
                }
            ),
            "rcp",
        ),
        (
            policy({**GRANT, "Effect": "Deny", "Principal": "*", "Resource": "arn:aws:s3:::b/*"}),
            "resource",
        ),
        ([], "identity"),
        ("text", "identity"),
        ({"Statement": [1, None]}, "identity"),
    ],
)
def test_the_kind_is_that_of_the_document(value: Any, kind: str) -> None:
    assert recognized_kind(value) == kind


def test_identity_based_policies_are_judged_together_and_a_trust_policy_beside_them_alone() -> None:
    def allow(*types: str) -> str:
        arns = [f"arn:aws:ec2:*:*:{kind}/*" for kind in types]
        return json.dumps(
            policy({"Effect": "Allow", "Action": "ec2:RunInstances", "Resource": arns})
        )

    trust = policy({"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": "*"}})
    texts = [
        ("one.json", allow("instance", "volume", "network-interface")),
        ("trust.json", json.dumps(trust)),
        ("two.json", allow("image", "subnet", "security-group")),
    ]

    assert [text.rule for text in lint_texts(texts, together=True)] == ["CML521"]


@pytest.mark.parametrize(
    ("kind", "characters", "found"),
    [
        ("trust", 2048, False),
        ("trust", 2049, True),
        ("scp", 5120, False),
        ("scp", 5121, True),
        ("rcp", 5120, False),
        ("rcp", 5121, True),
        ("resource", 20_480, False),
        ("resource", 20_481, True),
    ],
)
def test_each_kind_has_its_own_largest_size(kind: str, characters: int, found: bool) -> None:
    """Sizes: IAM's quotas, those of AWS Organizations, and that of a bucket's policy.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
    https://docs.aws.amazon.com/organizations/latest/userguide/orgs_reference_limits.html
    https://docs.aws.amazon.com/general/latest/gr/s3.html
    """
    value = policy({**GRANT, "Effect": "Deny", "Sid": ""})
    short = json.dumps(value, separators=(",", ":"))
    value["Statement"][0]["Sid"] = "a" * (characters - len(short))
    text = json.dumps(value, separators=(",", ":"))
    assert len(text) == characters

    assert ("CML103" in {finding.rule for finding in lint_text(text, kind=kind)}) is found
