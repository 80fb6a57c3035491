"""Recognize the type of a file, and return its policies."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import PurePath
from types import MappingProxyType
from typing import Final, NamedTuple

from cml_iam.errors import Problem
from cml_iam.located import Located, parse_json, parse_yaml
from cml_iam.policy import other_document
from cml_iam.sources._kept import Kept, Source, Subject

_YAML: Final = frozenset({".yaml", ".yml"})
_TELLING: Final = re.compile(
    r"\A(?:\ufeff|#.*\n|---.*\n|\s)*(?:Version|Statement|Id|AWSTemplateFormatVersion|Transform"
    r"|Description|Parameters|Metadata|Resources)['\"]?\s*:",
)
"""The beginning of a YAML policy or template, whatever the file's name."""


_CARRIED: Final = re.compile(r"['\"]?(?:Effect|PolicyDocument)['\"]?\s*:")
"""A pattern that every policy in YAML, and every template with a policy, contains."""


class Subjects(NamedTuple):
    """What a file holds other than one JSON policy: *policies*, each with the part that is judged.

    *unread* lists what may be a policy but cannot be read. *skipped* says why there is neither.
    """

    policies: tuple[tuple[Kept, Subject], ...] = ()
    skipped: str | None = None
    unread: tuple[Problem, ...] = ()


def subjects_in(
    text: str,
    name: str,
    *,
    named: bool,
    plain: bool = True,
    account: tuple[str, str] | None = None,
    parameters: Mapping[str, str] = MappingProxyType({}),
) -> Subjects | None:
    """Return what the file *name* holds; None if it is, or is meant to be, one policy in JSON.

    *named* is as in `other_document`. If not *plain*, None only means that it is not YAML, a
    template or a plan. *account* is the id and partition for a template's pseudo parameters,
    *parameters* are the values of its own. Raises DocumentError for YAML that cannot be read.
    """
    source = read_source(text, name)
    if source is None:
        other = _other(text, named=named) if plain else None
        return Subjects(skipped=f"it is {other}") if other else None
    # Most files are plain JSON, and need none of this.
    from cml_iam.sources._readings import pseudo_of, subject_of

    known = pseudo_of(*account) if account else None
    policies = tuple((policy, subject_of(policy, known, parameters)) for policy in source.policies)
    skipped = None if policies or source.unread else f"it is {source.form}"
    return Subjects(policies, skipped, source.unread)


def _other(text: str, *, named: bool) -> str | None:
    try:
        return other_document(json.loads(text), named=named)
    except (ValueError, RecursionError):
        return None  # lint says what is wrong with it


def may_hold_policy(text: str) -> bool:
    """Return whether YAML in a folder may contain a policy, so that its faults must be reported."""
    return _CARRIED.search(text) is not None


def read_source(text: str, name: str) -> Source | None:
    """Return the policies of the file *name*; None if it can only be a single policy in JSON.

    Raises DocumentError for YAML that cannot be read.
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
