"""The policies of a CloudFormation template.

https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/AWS_IAM.html
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

from cml_iam.errors import DocumentError, Problem
from cml_iam.located import Located, Path
from cml_iam.policy import VERSION_2012, scalar_text
from cml_iam.sources._kept import (
    Address,
    Hint,
    Kept,
    Source,
    is_document,
    looks_like_policy,
    members,
    places,
    text_policy,
    within,
)
from cml_iam.sources._readings import function, is_absent, map_key

_LONE: Final = 3
"""The number of steps in the path to the properties of a resource."""


def is_template(value: Any) -> bool:
    """Return whether the parsed *value* is a template: it has resources of AWS types."""
    if not isinstance(value, dict) or not isinstance(value.get("Resources"), dict):
        return False
    resources = value["Resources"].values()
    return "AWSTemplateFormatVersion" in value or any(map(_is_resource, resources))


def policies_in_template(located: Located) -> Source:
    """Return every policy document in the properties of the resources of a template."""
    return Source.of("a CloudFormation template", _contents(located))


def _contents(located: Located) -> Iterator[Kept | Problem]:
    mapped = _mapped(located.value.get("Mappings"))
    for logical, resource in located.value["Resources"].items():
        path: Path = ("Resources", logical)
        if logical.startswith("Fn::"):
            message = f"`{logical}` is not expanded, so policies in it are not judged"
            yield Problem(message, located.name_place(path))
        elif _is_resource(resource):
            yield from _policies(located, path, resource, mapped)


def _mapped(mappings: Any) -> dict[str, str]:
    """Return the texts of the template's `Mappings`, by `map_key`."""
    tables = mappings if isinstance(mappings, dict) else {}
    return {
        map_key(name, top, second): scalar_text(value)
        for name, table in tables.items()
        if isinstance(table, dict)
        for top, row in table.items()
        if isinstance(row, dict)
        for second, value in row.items()
        if not isinstance(value, dict | list)
    }


def _is_resource(value: Any) -> bool:
    kind = value.get("Type") if isinstance(value, dict) else None
    return isinstance(kind, str) and "::" in kind


def _policies(
    located: Located, path: Path, resource: dict[str, Any], mapped: dict[str, str]
) -> Iterator[Kept | Problem]:
    kind, where = resource["Type"], places("cloudformation")
    properties = resource.get("Properties")
    control = properties.get("Type") if isinstance(properties, dict) else None
    why, purpose = where.why_unjudged(kind), where.purpose(kind, control)
    names = where.names(kind, control)
    for policy in _policies_under(located, (*path, "Properties"), properties, names):
        if isinstance(policy, Problem):
            yield policy
        elif why:
            yield Problem(f"`{path[1]}` has {why}: not judged", located.place(path))
        else:
            at, written = policy
            hint: Hint | None = "trust" if "AssumeRolePolicyDocument" in at else purpose
            template = not isinstance(written.source, Address)
            yield Kept(located.source.name, label(at), hint, written, template, mapped)


_Policy = tuple[Path, Located]
"""A policy: the path of its property, and its document."""


def _policies_under(
    located: Located, path: Path, value: Any, names: frozenset[str]
) -> Iterator[_Policy | Problem]:
    """Yield each policy under *path*, and a problem for each unreadable one.

    *names* are the properties that are policies, whatever their value. Elsewhere, a text that looks
    like a policy is one if it is a policy document.
    """
    if isinstance(value, dict) and is_document(value):
        yield path, _document(located, path)
        return
    for step, member in members(value):
        inside = (*path, step)
        if step in places("cloudformation").skipped:
            continue
        if step in names and isinstance(member, list):
            yield inside, within(located, inside)  # of statements: no document is a list
            continue
        nested = tuple(_policies_under(located, inside, member, names))
        yield from nested
        if isinstance(member, str):
            is_property = isinstance(step, str) and not step.startswith(("Fn::", "!"))
            if step in names or (names and is_property and looks_like_policy(member)):
                yield _from_text(located, inside, member, named=step in names)
        elif not nested and step in names:
            called = function(member)
            if called is None and member is not None:
                yield inside, _document(located, inside)
            elif called and not is_absent(member):
                message = f"`{called[0]}` leaves `{label(inside)}` open, so it is not judged"
                yield Problem(message, located.place(inside))


def _document(located: Located, path: Path) -> Located:
    """Return the document at *path*; one is made for a statement that is itself a property."""
    written = within(located, path)
    if len(path) != _LONE:
        return written
    value = {"Version": VERSION_2012, "Statement": written.value["Statement"]}
    return replace(written, value=value)


def _from_text(located: Located, path: Path, text: str, *, named: bool) -> _Policy | Problem:
    """Return the policy in a JSON text; if it is not *named* as one, only a policy document."""
    name = label(path)
    try:
        written = text_policy(text, f"{located.source.name}: {name}")
    except DocumentError as error:
        message = f"`{name}` is not a policy in JSON: {error.problems[0].message}"
        return Problem(message, located.place(path))
    if named or is_document(written.value):
        return path, written
    message = f"`{name}` looks like a policy but is not a policy document, so it is not judged"
    return Problem(message, written.place())


def label(path: Path) -> str:
    """Return the name of the policy at *path*: `Resources.Role.AssumeRolePolicyDocument`."""
    steps = [*path[:2], *path[3:]]
    if steps[-1] == "PolicyDocument":
        steps.pop()
    return ".".join(map(str, steps))
