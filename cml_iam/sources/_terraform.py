"""The policies of a Terraform plan or state, as printed by `terraform show -json`.

https://developer.hashicorp.com/terraform/internals/json-format
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any, Final

from cml_iam.errors import DocumentError, Place, Problem
from cml_iam.located import Path
from cml_iam.sources._kept import (
    Hint,
    Kept,
    Source,
    is_document,
    looks_like_policy,
    members,
    places,
    text_policy,
)

_DATA: Final = "aws_iam_policy_document"
_SCP: Final = "SERVICE_CONTROL_POLICY"
"""The default type of a policy of AWS Organizations."""

_SOURCES: Final = frozenset(
    {
        "minified_json",
        "source_json",
        "override_json",
        "source_policy_documents",
        "override_policy_documents",
    }
)
"""Attributes of a data source that repeat `json`, or contain its sources."""

_DEEP: Final = 32


def is_terraform(value: Any) -> bool:
    """Return whether the parsed *value* is output of `terraform show -json`."""
    return (
        isinstance(value, dict)
        and "format_version" in value
        and any(name in value for name in ("planned_values", "values", "resource_changes"))
    )


def policies_in_plan(value: dict[str, Any], file: str) -> Source:
    """Return every policy document among the values of the resources.

    The document of a data source counts if no resource contains it. Values that are known only
    after apply are returned as not read.
    """
    return Source.of("a plan or state of Terraform", _contents(value, file))


def _contents(value: dict[str, Any], file: str) -> Iterator[Kept | Problem]:
    planned = value.get("planned_values") or value.get("values") or {}
    resources = list(_resources(planned))
    resources += _changed(value, {str(resource.get("address")) for resource in resources})
    prior = _member(_member(value, "prior_state"), "values")
    resources += [resource for resource in _resources(prior) if resource.get("type") == _DATA]
    documents: list[Any] = []
    for resource in sorted(resources, key=lambda resource: resource.get("type") == _DATA):
        for part in _policies(resource, file):
            if isinstance(part, Kept):
                if resource.get("type") == _DATA and part.written.value in documents:
                    continue
                documents.append(part.written.value)
            yield part
    yield from _unknown(value, file)


def _member(value: Any, name: str) -> dict[str, Any]:
    member = value.get(name) if isinstance(value, dict) else None
    return member if isinstance(member, dict) else {}


def _listed(value: Any, name: str) -> list[dict[str, Any]]:
    member = value.get(name) if isinstance(value, dict) else None
    return [item for item in member if isinstance(item, dict)] if isinstance(member, list) else []


def _resources(values: dict[str, Any]) -> Iterator[dict[str, Any]]:
    modules = [_member(values, "root_module")]
    for module in modules:
        yield from _listed(module, "resources")
        modules += _listed(module, "child_modules")


def _changed(value: dict[str, Any], there: set[str]) -> Iterator[dict[str, Any]]:
    """Yield the resources that only `resource_changes` has, in their planned state."""
    for change in _listed(value, "resource_changes"):
        if str(change.get("address")) not in there:
            yield {**change, "values": _member(_member(change, "change"), "after")}


def _unknown(value: dict[str, Any], file: str) -> Iterator[Problem]:
    """Yield a problem for each document that is known only after apply."""
    for change in _listed(value, "resource_changes"):
        unknown = _member(_member(change, "change"), "after_unknown")
        kind, control = str(change.get("type", "")), _member(_member(change, "change"), "after")
        if not kind.startswith("aws_"):
            continue
        for name in sorted(places("terraform").names(kind, control.get("type", _SCP))):
            if _is_unknown(unknown.get(name)):
                place = Place(f"{file}: {change.get('address')}", 0, 0)
                yield Problem(f"`{name}` is known only after apply, so it is not judged", place)


def _is_unknown(value: Any) -> bool:
    """Return whether the whole *value*, or the policy in one of its blocks, is unknown."""
    if isinstance(value, list):
        return any(map(_is_unknown, value))
    return _is_unknown(value.get("policy")) if isinstance(value, dict) else value is True


def _policies(resource: dict[str, Any], file: str) -> Iterator[Kept | Problem]:
    kind, values = str(resource.get("type", "")), _member(resource, "values")
    if not kind.startswith("aws_"):
        return
    where, control = places("terraform"), values.get("type", _SCP)
    names = frozenset() if kind == _DATA else where.names(kind, control)
    address = str(resource.get("address", kind))
    texts = list(_texts(values, (), {"json"} if kind == _DATA else names))
    if texts and (why := where.why_unjudged(kind)):
        yield Problem(f"{why}: not judged", Place(f"{file}: {address}", 0, 0))
        return
    purpose = None if kind == _DATA else where.purpose(kind, control)
    for path, text, named in texts:
        steps = list(map(str, path))
        label = ".".join([address, *([] if len(texts) == 1 or steps == ["policy"] else steps)])
        trust = path[0] == "assume_role_policy"
        yield _kept(text, file, label, "trust" if trust else purpose, named=named)


def _texts(value: Any, path: Path, names: Collection[str]) -> Iterator[tuple[Path, str, bool]]:
    """Yield each text that is a policy by its attribute's name, or may be one; and which it is."""
    if isinstance(value, str):
        name = next(step for step in reversed(path) if isinstance(step, str))
        if path[0] not in _SOURCES and (name in names or (names and looks_like_policy(value))):
            yield path, value, name in names
    elif len(path) < _DEEP:
        for step, member in members(value):
            if member != "" and step not in places("terraform").skipped:
                yield from _texts(member, (*path, step), names)


def _kept(text: str, file: str, label: str, kind: Hint | None, *, named: bool) -> Kept | Problem:
    name = f"{file}: {label}"
    try:
        written = text_policy(text, name)
    except DocumentError as error:
        return Problem(f"not a policy in JSON: {error.problems[0].message}", Place(name, 0, 0))
    if named or is_document(written.value):
        return Kept(file, label, kind, written)
    message = "looks like a policy but is not a policy document, so it is not judged"
    return Problem(message, Place(name, 0, 0))
