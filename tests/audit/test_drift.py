"""A document beside the rendered one: wider, narrower, or not proved to be the same."""

from __future__ import annotations

from typing import Any

from cml_iam.audit import Spot
from cml_iam.check._meaning import compared
from cml_iam.check.answer import Answer
from cml_iam.check.checks import check_named
from cml_iam.policy import PolicyDocument, load_policy

ROLE = "arn:aws:iam::111122223333:role"


def policy(*statements: dict[str, Any]) -> PolicyDocument:
    return load_policy({"Version": "2012-10-17", "Statement": list(statements)})


def said(action: str, resource: str = "*", effect: str = "Allow", **condition: Any) -> Any:
    made = {"Effect": effect, "Action": action, "Resource": resource}
    return made | ({"Condition": condition} if condition else {})


def drift(wanted: PolicyDocument, there: PolicyDocument) -> Answer:
    spot = Spot(file="a.json")
    return compared(check_named("file-drift"), [wanted], [there], spot, "`a.json`")


def finding(wanted: PolicyDocument, there: PolicyDocument) -> tuple[str, str]:
    (only,) = drift(wanted, there).findings
    return only.rule, only.message


def test_all_roles_but_the_one_that_is_meant_is_wider() -> None:
    one = policy(said("iam:PassRole", f"{ROLE}/example"))
    others = policy(
        said("iam:PassRole", f"{ROLE}/*"), said("iam:PassRole", f"{ROLE}/example", "Deny")
    )

    rule, message = finding(one, others)

    assert rule == "CML704"
    assert "and refuses `iam:PassRole`" in message


def test_what_is_proved_to_mean_the_same_is_no_drift() -> None:
    one = policy(said("ec2:*"))
    other = policy(said("ec2:*"), said("ec2:RunInstances"))

    assert drift(one, other).findings == ()


def test_what_could_not_be_decided_is_a_finding_with_the_reason() -> None:
    patterns = [f"*a{'?' * size}*" for size in range(9, 24)]
    apart = policy(*(said("s3:GetObject", StringLike={"my:key": pattern}) for pattern in patterns))
    together = policy(said("s3:GetObject", StringLike={"my:key": patterns}))

    rule, message = finding(apart, together)

    assert rule == "CML706"
    assert "could not decide whether any request is newly allowed: " in message
