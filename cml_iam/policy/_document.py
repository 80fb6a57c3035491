"""Policy documents and sets of requests as values; also recognizes JSON that is not a policy.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path as FilePath
from typing import Any, Final, Literal

from cml_iam.errors import DocumentError, Place, Problem
from cml_iam.located import Located, Path, located_problems, parse_json, schema_problems

Effect = Literal["Allow", "Deny"]

VERSION_2012: Final = "2012-10-17"
VERSION_2008: Final = "2008-10-17"
"""The version of a document without `Version`, in which policy variables are plain text."""


@dataclass(frozen=True, slots=True)
class Condition:
    """One operator on one condition key; *operator* and *key* are written as in the policy."""

    operator: str
    key: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Principals:
    """A `Principal` or `NotPrincipal`: *everyone* for `"*"`, otherwise ids by kind (`AWS` …)."""

    everyone: bool
    ids: tuple[tuple[str, tuple[str, ...]], ...] = ()


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement; missing elements are None. *index* counts from 0."""

    index: int
    effect: Effect
    sid: str | None = None
    action: tuple[str, ...] | None = None
    not_action: tuple[str, ...] | None = None
    resource: tuple[str, ...] | None = None
    not_resource: tuple[str, ...] | None = None
    principal: Principals | None = None
    not_principal: Principals | None = None
    conditions: tuple[Condition, ...] = ()

    @property
    def label(self) -> str:
        """The Sid, or the statement's number counted from 1 if there is none."""
        return self.sid or f"statement {self.index + 1}"


@dataclass(frozen=True, slots=True)
class PolicyDocument:
    """A policy document; *name* is its source: a file, or a policy's name in IAM.

    *located* has the parsed text with its positions; None if the document was not text.
    """

    statements: tuple[Statement, ...]
    version: str = VERSION_2008
    id: str | None = None
    name: str = "<policy>"
    located: Located | None = field(default=None, repr=False, compare=False)

    def path(self, statement: Statement) -> Path:
        """Return the path of *statement* in the parsed text."""
        single = self.located is not None and isinstance(self.located.value["Statement"], dict)
        return ("Statement",) if single else ("Statement", statement.index)

    def place(self, statement: Statement, *element: str | int) -> Place | None:
        """Return the place of *statement*, or of its *element* at that path."""
        if self.located is None:
            return None
        path = (*self.path(statement), *element)
        return self.located.name_place(path) if element else self.located.place(path)


def parse_policy(text: str, name: str = "<policy>") -> PolicyDocument:
    """Parse the policy document *text*, called *name* in messages.

    Raises DocumentError with every grammar problem and its place.
    """
    located = parse_json(text, name)
    problems = grammar_problems(located)
    if problems:
        raise DocumentError(problems)
    return build_policy(located)


def build_policy(located: Located) -> PolicyDocument:
    """Return the document in a parsed text, which must have no `grammar_problems`."""
    return _build(located.value, located.source.name, located)


def load_policy(source: PolicyDocument | str | Mapping[str, Any], name: str = "") -> PolicyDocument:
    """Return the document *source*, which may also be JSON text or parsed JSON.

    Raises DocumentError as `parse_policy` does.
    """
    if isinstance(source, PolicyDocument):
        return source
    if isinstance(source, str):
        return parse_policy(source, name or "<policy>")
    problems = schema_problems(source, policy_schema())
    if problems:
        raise DocumentError(problems)
    return _build(source, name or "<policy>", None)


def grammar_problems(located: Located) -> tuple[Problem, ...]:
    """Return every violation of the policy grammar in the parsed text."""
    value = located.value
    if is_statement(value):
        noun, wrapped = "a statement", "[ … ]}"
    elif isinstance(value, list) and any(map(is_statement, value)):
        noun, wrapped = "a list of statements", "… }"
    else:
        return located_problems(located, policy_schema())
    remedy = f'wrap it: {{"Version": "2012-10-17", "Statement": {wrapped}'
    return (Problem(f"this is {noun}, not a policy", located.place(), remedy),)


def is_statement(value: Any) -> bool:
    """Return whether the parsed *value* is a statement without the document around it."""
    return isinstance(value, dict) and "Effect" in value and "Statement" not in value


@cache
def policy_schema() -> dict[str, Any]:
    """Return the JSON Schema of policy documents."""
    text = FilePath(__file__).with_name("grammar.schema.json").read_text("utf-8")
    return dict(json.loads(text))


def scalar_text(value: Any) -> str:
    """Return a JSON scalar as the string IAM reads: `true` is "true", 10 is "10"."""
    return value if isinstance(value, str) else json.dumps(value)


def _build(value: Mapping[str, Any], name: str, located: Located | None) -> PolicyDocument:
    raw = value["Statement"]
    statements = raw if isinstance(raw, list) else [raw]
    return PolicyDocument(
        statements=tuple(_statement(index, raw) for index, raw in enumerate(statements)),
        version=value.get("Version", VERSION_2008),
        id=value.get("Id"),
        name=name,
        located=located,
    )


def _statement(index: int, raw: Mapping[str, Any]) -> Statement:
    return Statement(
        index=index,
        effect=raw["Effect"],
        sid=raw.get("Sid"),
        action=_texts(raw.get("Action")),
        not_action=_texts(raw.get("NotAction")),
        resource=_texts(raw.get("Resource")),
        not_resource=_texts(raw.get("NotResource")),
        principal=_principals(raw.get("Principal")),
        not_principal=_principals(raw.get("NotPrincipal")),
        conditions=tuple(
            Condition(operator, key, _texts(values) or ())
            for operator, block in raw.get("Condition", {}).items()
            for key, values in block.items()
        ),
    )


def _texts(raw: Any) -> tuple[str, ...] | None:
    if raw is None:
        return None
    return tuple(map(scalar_text, raw if isinstance(raw, list) else [raw]))


def _principals(raw: Any) -> Principals | None:
    if raw is None:
        return None
    if isinstance(raw, str):
        return Principals(everyone=True)
    return Principals(False, tuple((kind, _texts(ids) or ()) for kind, ids in raw.items()))


def attachment_problems(document: PolicyDocument) -> tuple[Problem, ...]:
    """Return the reasons why IAM would refuse *document* as a principal's policy or boundary.

    An identity-based policy names no principal and must name its resources.
    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html
    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_resource.html
    """
    problems: list[Problem] = []
    for statement in document.statements:
        if statement.principal is not None or statement.not_principal is not None:
            name = "NotPrincipal" if statement.principal is None else "Principal"
            message = f"`{name}` is not allowed in a policy of a user or role"
            problems.append(Problem(message, document.place(statement, name), "remove it"))
        if statement.resource is None and statement.not_resource is None:
            message = f"{statement.label} has neither `Resource` nor `NotResource`"
            problems.append(Problem(message, document.place(statement), 'add `"Resource": "*"`'))
    return tuple(problems)


Conditions = dict[str, dict[str, Any]]
"""The conditions of a statement: values by operator and key."""


@dataclass(frozen=True, slots=True)
class Shape:
    """A set of requests for any of *actions* on any of *resources* that meet all *conditions*.

    *conditions* are written as in a statement: `{"StringEquals": {"aws:RequestedRegion": "…"}}`.
    *not_actions* and *not_resources* correspond to NotAction and NotResource.
    """

    actions: Sequence[str] = ("*",)
    resources: Sequence[str] = ("*",)
    conditions: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    not_actions: Sequence[str] | None = None
    not_resources: Sequence[str] | None = None


def merged(*conditions: Mapping[str, Mapping[str, Any]]) -> Conditions:
    """Combine *conditions* into one that requires all of them.

    If an operator tests a key twice, the second is in another case, which means the same.
    """
    result: Conditions = {}
    for condition in conditions:
        for operator, block in condition.items():
            for key, values in block.items():
                name = operator
                while result.get(name, {}).get(key, values) != values:
                    name = _in_other_letters(name)
                result.setdefault(name, {})[key] = values
    return result


def _in_other_letters(name: str) -> str:
    """Return *name* in the next combination of upper and lower case, like a binary counter."""
    at = next((n for n, char in enumerate(name) if char.islower()), len(name))
    return name[:at].lower() + name[at : at + 1].upper() + name[at + 1 :]


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
"""Member names that identify other kinds of documents; no policy has them."""


def other_document(value: Any, *, named: bool) -> str | None:
    """Return a description of the parsed JSON *value* if it is not a policy; None if it may be.

    A file that the user *named* counts as one unless it is obviously something else.
    """
    if not isinstance(value, dict):
        statements = isinstance(value, list) and any(map(is_statement, value))
        return None if named or statements else "not a JSON object"
    if "Statement" in value:
        return None
    for names, kind in _NAMES:
        if all(name in value for name in names):
            return kind
    incomplete = "Effect" in value and ("Action" in value or "NotAction" in value)
    if named or incomplete or value.get("Version") in (VERSION_2012, VERSION_2008):
        return None
    return "not a policy: it has no `Statement`"
