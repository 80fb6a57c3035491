"""Recognize JSON that is not a policy, so that it is not reported as a faulty one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

_NAMES: Final = (
    (("$schema", "properties"), "a JSON Schema"),
    (("$schema", "$defs"), "a JSON Schema"),
    (("$schema", "runs"), "a SARIF log"),
    (("AWSTemplateFormatVersion",), "a CloudFormation template"),
    (("terraform_version", "format_version"), "a plan or state of Terraform"),
    (("terraform_version", "lineage"), "a state of Terraform"),
    (("conclusion", "checks", "findings"), "a report of `cml-iam audit`"),
    (("format", "options", "plan"), "a plan of `cml-iam bootstrap`"),
)
"""Names that stand together in the object of such a document, and in no policy."""

_VERSIONS: Final = ("2012-10-17", "2008-10-17")


def other_document(value: Any, *, named: bool) -> str | None:
    """Return what the parsed JSON *value* is instead of a policy; None if it may be one.

    A file that is *named*, not found in a folder, is meant to be a policy: it counts as one unless
    it is plainly something else.
    """
    if not isinstance(value, dict):
        return None if named else "no JSON object"
    if "Statement" in value:
        return None
    for names, kind in _NAMES:
        if all(name in value for name in names):
            return kind
    if named or _may_be(value):
        return None
    return "no policy: it has no `Statement`"


def _may_be(value: Mapping[str, Any]) -> bool:
    """Return whether this may be an incomplete policy, or a single statement of one."""
    statement = "Effect" in value and ("Action" in value or "NotAction" in value)
    return statement or value.get("Version") in _VERSIONS
