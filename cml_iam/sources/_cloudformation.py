"""The policies of a CloudFormation template.

https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/AWS_IAM.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from cml_iam.errors import DocumentError, Problem
from cml_iam.located import Located, parse_json
from cml_iam.policy import VERSION_2012, scalar_text
from cml_iam.sources._kept import (
    Address,
    Hint,
    Kept,
    Source,
    is_document,
    looks_like_policy,
    places,
    within,
)
from cml_iam.sources._readings import function, is_absent, map_key

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cml_iam.located import Path

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
    policies: list[Kept] = []
    unread: list[Problem] = []
    known = _mapped(located.value.get("Mappings"))
    for logical, resource in located.value["Resources"].items():
        path: Path = ("Resources", logical)
        if logical.startswith("Fn::"):
            message = f"`{logical}` is not expanded, so policies in it are not judged"
            unread.append(Problem(message, located.name_place(path)))
        elif _is_resource(resource):
            kind, where = resource["Type"], places("cloudformation")
            names, why = where.names(kind, _control(resource)), where.why_unjudged(kind)
            for each in _found(located, (*path, "Properties"), resource.get("Properties"), names):
                if isinstance(each, Problem):
                    unread.append(each)
                elif why:
                    message = f"`{logical}` has {why}: not judged"
                    unread.append(Problem(message, located.place(path)))
                else:
                    policies.append(_kept(located, each, resource)._replace(known=known))
    without = "" if policies or unread else " without a policy"
    return Source(f"a CloudFormation template{without}", tuple(policies), tuple(unread))


def _mapped(mappings: Any) -> dict[str, str]:
    """Return the texts of the template's `Mappings`, by `map_key`."""
    members = mappings.items() if isinstance(mappings, dict) else ()
    return {
        map_key(name, top, second): scalar_text(value)
        for name, tops in members
        if isinstance(tops, dict)
        for top, seconds in tops.items()
        if isinstance(seconds, dict)
        for second, value in seconds.items()
        if not isinstance(value, dict | list)
    }


def _is_resource(value: Any) -> bool:
    kind = value.get("Type") if isinstance(value, dict) else None
    return isinstance(kind, str) and "::" in kind


def _control(resource: dict[str, Any]) -> Any:
    """Return the type of a policy of AWS Organizations."""
    properties = resource.get("Properties")
    return properties.get("Type") if isinstance(properties, dict) else None


def _found(
    located: Located, path: Path, value: Any, names: frozenset[str]
) -> Iterator[Path | Problem | Kept]:
    """Yield the path of each policy under *path*, and a problem for each unreadable one.

    *names* are the properties that are policies, whatever their value. Elsewhere, a text that looks
    like a policy is one if it is a policy document.
    """
    if isinstance(value, dict):
        if is_document(value):
            yield path
            return
        members: Any = value.items()
    elif isinstance(value, list):
        members = enumerate(value)
    else:
        return
    for step, member in members:
        inside = (*path, step)
        if step in places("cloudformation").skipped:
            continue
        if step in names and isinstance(member, list):
            yield inside  # of statements: no document is a list
            continue
        found = tuple(_found(located, inside, member, names))
        yield from found
        if not found and step in names:
            yield from _opaque(located, inside, member)
        elif names and isinstance(member, str) and _is_property(step) and looks_like_policy(member):
            yield from map(_document_only, _opaque(located, inside, member))


def _is_property(step: str | int) -> bool:
    return isinstance(step, str) and not step.startswith(("Fn::", "!"))


def _document_only(found: Path | Problem | Kept) -> Path | Problem | Kept:
    """Return a problem for a JSON text that looks like a policy but is not a policy document."""
    if not isinstance(found, Kept) or is_document(found.written.value):
        return found
    message = (
        f"`{found.label}` looks like a policy but is not a policy document, so it is not judged"
    )
    return Problem(message, found.written.place())


def _opaque(located: Located, path: Path, value: Any) -> Iterator[Path | Problem | Kept]:
    """Describe the document *value*, which is not an object with a `Statement`."""
    place = located.place(path)
    if isinstance(value, str):
        name = f"{located.source.name}: {label(path)}"
        try:
            inner = parse_json(value, name)
        except DocumentError as error:
            message = f"`{label(path)}` is not a policy in JSON: {error.problems[0].message}"
            yield Problem(message, place)
            return
        source = Address(name, inner.source.text)
        written = Located(inner.value, source, inner.values, inner.names)
        yield Kept(located.source.name, label(path), None, written)
        return
    called = function(value)
    if called is None and value is not None:
        yield path
    elif called and not is_absent(value):
        yield Problem(f"`{called[0]}` leaves `{label(path)}` open, so it is not judged", place)


def _kept(located: Located, found: Path | Kept, resource: dict[str, Any]) -> Kept:
    if isinstance(found, Kept):
        kind = _kind(("Resources", "", "Properties", found.label.rpartition(".")[2]), resource)
        return Kept(found.file, found.label, kind, found.written)
    kind = _kind(found, resource)
    written = within(located, found)
    if len(found) == _LONE:
        written = _around(written)
    return Kept(located.source.name, label(found), kind, written, template=True)


def _around(written: Located) -> Located:
    """Return a document for a statement that is itself a property, as in an event bus."""
    value = {"Version": VERSION_2012, "Statement": written.value["Statement"]}
    return Located(value, written.source, written.values, written.names)


def label(path: Path) -> str:
    """Return the name of the policy at *path*: `Resources.Role.AssumeRolePolicyDocument`."""
    steps = [*path[:2], *path[3:]]
    if steps[-1] == "PolicyDocument":
        steps.pop()
    return ".".join(map(str, steps))


def _kind(path: Path, resource: dict[str, Any]) -> Hint | None:
    if "AssumeRolePolicyDocument" in path:
        return "trust"
    return places("cloudformation").purpose(str(resource.get("Type", "")), _control(resource))
