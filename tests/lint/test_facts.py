"""What the rules take from the service reference."""

from __future__ import annotations

import pytest

from cml_iam import facts


@pytest.mark.parametrize(
    ("service", "name", "on_nothing"),
    [
        ("ec2", "DescribeInstances", True),
        ("ec2", "CreateTags", True),  # its 106 resource types are all optional
        ("ec2", "RunInstances", False),
        ("ec2", "TerminateInstances", False),
    ],
)
def test_an_action_without_a_required_type_may_be_asked_for_on_nothing(
    service: str, name: str, on_nothing: bool
) -> None:
    owner = facts.service(service)
    action = owner.action(name) if owner else None

    assert action
    assert any(not target.type for target in action.targets) is on_nothing
    assert action.takes_no_resource is (name == "DescribeInstances")
