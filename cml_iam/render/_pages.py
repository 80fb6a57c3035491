"""What the forms share: their templates, in which all that is printed goes through an encoder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from cml_iam.shipped import shipped_templates

if TYPE_CHECKING:
    from jinja2 import Environment

    from cml_iam.render._policies import RenderedPolicy

TrustForm = Literal["ec2", "ecs", "irsa", "pod-identity"]
"""Who may use a role."""

DESCRIPTION: Final = "What CML Cloud Manager may do"
TAGS: Final = {"cml-iam:managed": "true"}
"""The tags that bootstrap puts on what it makes."""


@dataclass(frozen=True, slots=True)
class Part:
    """One managed policy: its *name* and *arn* in IAM, its *label* in Terraform and the like."""

    name: str
    arn: str
    label: str
    rendered: RenderedPolicy


def pages(encode: Callable[[Any], str]) -> Environment:
    """Return an environment of the templates in which every value goes through *encode*.

    `bare` marks a value of ours, a name or an expression, that is printed as it is.
    """

    def printed(value: Any) -> str:
        return value.text if isinstance(value, _Bare) else encode(value)

    made = shipped_templates("templates", printed)
    made.filters["bare"] = _Bare
    return made


@dataclass(frozen=True, slots=True)
class _Bare:
    text: str
