"""The policies of a Terraform plan or state, as printed by `terraform show -json`.

https://developer.hashicorp.com/terraform/internals/json-format
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from cml_iam.errors import DocumentError, Place, Problem
from cml_iam.located import Located, parse_json
from cml_iam.sources._kept import Address, Hint, Kept, Source

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cml_iam.located import Path

_NAMED: Final = frozenset(
    {
        "access_policies",
        "access_policy",
        "assume_role_policy",
        "inline_policy",
        "policy",
        "policy_document",
        "repository_policy",
        "resource_policy",
    }
)
"""Attributes that contain a policy document, or a list of blocks with one."""

_OTHER: Final = (
    "aws_cloudwatch_log_account_policy",
    "aws_cloudwatch_log_data_protection_policy",
    "aws_ecr_lifecycle_policy",
    "aws_iot_policy_attachment",
    "aws_opensearchserverless_",
    "aws_sns_topic_data_protection_policy",
    "aws_verifiedaccess_",
)
"""Prefixes of resource types whose attribute of that name is not an IAM policy."""

_CONTROL: Final = "aws_organizations_policy"
_CONTROLS: Final = ("SERVICE_CONTROL_POLICY", "RESOURCE_CONTROL_POLICY")

_DATA: Final = "aws_iam_policy_document"
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

    The document of a data source counts if no resource contains it. What is known only after apply
    is returned as not read.
    """
    planned = value.get("planned_values") or value.get("values") or {}
    resources = list(_resources(planned))
    resources += list(_changed(value, {str(each.get("address")) for each in resources}))
    prior = _member(_member(value, "prior_state"), "values")
    resources += [each for each in _resources(prior) if each.get("type") == _DATA]
    policies: list[Kept] = []
    unread: list[Problem] = []
    for resource in sorted(resources, key=lambda each: each.get("type") == _DATA):
        for found in _policies(resource, file):
            if isinstance(found, Problem):
                unread.append(found)
            elif resource.get("type") != _DATA or not any(
                found.written.value == each.written.value for each in policies
            ):
                policies.append(found)
    unread += _unknown(value, file)
    without = "" if policies or unread else " without a policy"
    return Source(f"a plan or state of Terraform{without}", tuple(policies), tuple(unread))


def _member(value: Any, name: str) -> dict[str, Any]:
    member = value.get(name) if isinstance(value, dict) else None
    return member if isinstance(member, dict) else {}


def _listed(value: Any, name: str) -> list[dict[str, Any]]:
    member = value.get(name) if isinstance(value, dict) else None
    return [each for each in member if isinstance(each, dict)] if isinstance(member, list) else []


def _resources(values: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the resources of the root module and of its child modules."""
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
        if not str(change.get("type", "")).startswith("aws_"):
            continue
        for name in sorted({*_NAMED, "content"}):
            if _is_unknown(unknown.get(name)):
                place = Place(f"{file}: {change.get('address')}", 0, 0)
                yield Problem(f"`{name}` is known only after apply: not judged", place)


def _is_unknown(value: Any) -> bool:
    """Return whether the whole *value* is unknown, or the policy in one of its blocks."""
    if isinstance(value, list):
        return any(map(_is_unknown, value))
    return _is_unknown(value.get("policy")) if isinstance(value, dict) else value is True


def _policies(resource: dict[str, Any], file: str) -> Iterator[Kept | Problem]:
    kind = str(resource.get("type", ""))
    if not kind.startswith("aws_") or kind.startswith(_OTHER):
        return
    address = str(resource.get("address", kind))
    if kind.startswith("aws_vpc_endpoint"):
        if any(_texts(resource, _member(resource, "values"), ())):
            place = Place(f"{file}: {address}", 0, 0)
            yield Problem("the policy of a VPC endpoint: not judged", place)
        return
    texts = list(_texts(resource, _member(resource, "values"), ()))
    for path, text in texts:
        steps = [str(each) for each in path]
        label = ".".join([address, *([] if len(texts) == 1 or steps == ["policy"] else steps)])
        yield from _kept(text, file, label, _kind(kind, path, resource))


def _texts(resource: dict[str, Any], value: Any, path: Path) -> Iterator[tuple[Path, str]]:
    """Yield each text that is a policy by the name of its attribute, or by its content."""
    if isinstance(value, str):
        if path[0] not in _SOURCES and (_is_named(resource, path) or _is_document(value)):
            yield path, value
    elif len(path) < _DEEP and isinstance(value, dict | list):
        members: Any = value.items() if isinstance(value, dict) else enumerate(value)
        for step, member in members:
            if member != "":
                yield from _texts(resource, member, (*path, step))


def _is_named(resource: dict[str, Any], path: Path) -> bool:
    """Return whether the attribute at *path* is a policy, whatever its text."""
    kind = resource.get("type")
    if kind == _DATA:
        return path == ("json",)
    name = next(step for step in reversed(path) if isinstance(step, str))
    return name in _NAMED or (kind == _CONTROL and path == ("content",) and _controls(resource))


def _controls(resource: dict[str, Any]) -> bool:
    return _member(resource, "values").get("type", _CONTROLS[0]) in _CONTROLS


def _is_document(text: str) -> bool:
    return '"Statement"' in text and text.lstrip()[:1] == "{"


def _kept(text: str, file: str, label: str, kind: Hint | None) -> Iterator[Kept | Problem]:
    name = f"{file}: {label}"
    try:
        inner = parse_json(text, name)
    except DocumentError as error:
        yield Problem(f"not a policy in JSON: {error.problems[0].message}", Place(name, 0, 0))
        return
    source = Address(name, text)
    yield Kept(file, label, kind, Located(inner.value, source, inner.values, inner.names))


def _kind(kind: str, path: Path, resource: dict[str, Any]) -> Hint | None:
    if path[0] == "assume_role_policy":
        return "trust"
    if kind == _CONTROL:
        given = _member(resource, "values").get("type", _CONTROLS[0])
        return "scp" if given == _CONTROLS[0] else None
    if kind == _DATA:
        return None
    return "identity" if kind.startswith(("aws_iam_", "aws_iot_", "aws_ssoadmin_")) else "resource"
