"""Recognize the type of a file, and return its policies."""

from __future__ import annotations

import json
import re
from pathlib import PurePath
from typing import TYPE_CHECKING, Final

from cml_iam.located import parse_json, parse_yaml
from cml_iam.policy import other_document
from cml_iam.sources._kept import Kept, Source

if TYPE_CHECKING:
    from cml_iam.located import Located

_YAML: Final = frozenset({".yaml", ".yml"})
_TELLING: Final = re.compile(
    r"\A(?:\ufeff|#.*\n|---.*\n|\s)*(?:Version|Statement|Id|AWSTemplateFormatVersion|Transform"
    r"|Description|Parameters|Metadata|Resources)['\"]?\s*:",
)
"""The beginning of a YAML policy or template, whatever the file's name."""


_CARRIED: Final = re.compile(r"['\"]?(?:Effect|PolicyDocument)['\"]?\s*:")
"""A pattern that every policy in YAML, and every template with a policy, contains."""


def may_hold_policy(text: str) -> bool:
    """Return whether YAML in a folder may contain a policy, so that its faults must be reported."""
    return _CARRIED.search(text) is not None


def read_source(text: str, name: str) -> Source | None:
    """Return the policies of the file *name*; None if it is not YAML, a template or a plan.

    If None, the file can only be a single policy in JSON. Raises DocumentError for YAML that cannot
    be read.
    """
    if PurePath(name).suffix in _YAML or _TELLING.match(text):
        return _of_yaml(parse_yaml(text, name))
    if '"Resources"' not in text and '"format_version"' not in text:
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    # Most files are plain JSON, and need none of this.
    from cml_iam.sources._cloudformation import is_template, policies_in_template
    from cml_iam.sources._terraform import is_terraform, policies_in_plan

    if is_terraform(value):
        return policies_in_plan(value, name)
    return policies_in_template(parse_json(text, name)) if is_template(value) else None


def _of_yaml(documents: tuple[Located, ...]) -> Source:
    sources = [
        _of_one(document, f"document {number}" if documents[1:] else "")
        for number, document in enumerate(documents, start=1)
    ]
    forms = dict.fromkeys(source.form for source in sources)
    return Source(
        ", ".join(forms),
        tuple(policy for source in sources for policy in source.policies),
        tuple(problem for source in sources for problem in source.unread),
    )


def _of_one(located: Located, label: str) -> Source:
    from cml_iam.sources._cloudformation import is_template, policies_in_template

    if is_template(located.value):
        return policies_in_template(located)
    other = other_document(located.value, named=False)
    statement = isinstance(located.value, dict) and "Effect" in located.value
    if other and not statement:
        return Source(other.replace("JSON object", "policy"))
    kept = Kept(located.source.name, label, None, located, template=True)
    return Source("a policy in YAML", (kept,))
