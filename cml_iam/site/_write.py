"""Write a site file with explanatory comments."""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType

from cml_iam.restrict import Tag
from cml_iam.site._model import DEFAULT_POLICY, DEFAULT_USER


def site_text(
    *,
    account: str,
    partition: str = "aws",
    user: str | None = None,
    role: str | None = None,
    policy: str = DEFAULT_POLICY,
    regions: tuple[str, ...] = (),
    guard_tag: Tag | None = None,
    instance_types: tuple[str, ...] = (),
    image_owners: tuple[str, ...] = (),
    images: Mapping[str, tuple[str, ...]] = MappingProxyType({}),
    detailed_monitoring: bool = False,
    application_tags: Mapping[str, str] = MappingProxyType({}),
    manager: str | None = None,
    administrator: str | None = None,
) -> str:
    """Return the text of a site file with these values and explanatory comments."""
    principal = f"role = {_toml(role)}" if role else f"user = {_toml(user or DEFAULT_USER)}"
    lines = [
        "# What CML Cloud Manager may do, and where. `cml-iam` reads this file.",
        "",
        "[account]",
        f"id = {_toml(account)}",
        f"partition = {_toml(partition)}",
        "",
        "[principal]",
        principal,
        f"policy = {_toml(policy)}",
        "",
        *_credentials(manager, administrator),
        "# Each line is optional; a missing line restricts nothing.",
        "[restrict]",
    ]
    if regions:
        lines.append(f"regions = {_toml(regions)}")
    if guard_tag:
        tag = f"{_toml(guard_tag.key)} = {_toml(guard_tag.value)}"
        lines.append(f"guard_tag = {{ {tag} }}  # only instances with this tag may be operated")
    if instance_types:
        lines.append(f"instance_types = {_toml(instance_types)}")
    if image_owners:
        lines.append(f"image_owners = {_toml(image_owners)}  # for regions without listed images")
    if images:
        lines += ["", "[restrict.images]  # by region; a listed region allows no other images"]
        lines += [f"{_toml(region)} = {_toml(ids)}" for region, ids in images.items()]
    if detailed_monitoring:
        lines += ["", "[grant]  # beyond the documented permissions"]
        lines.append("detailed_monitoring = true  # ec2:MonitorInstances: one-minute metrics")
    if application_tags:
        tags = ", ".join(f"{_toml(key)} = {_toml(tag)}" for key, tag in application_tags.items())
        lines += ["", "[manager]  # what CML Cloud Manager sends when it launches an instance"]
        lines.append(f"tags = {{ {tags} }}")
    return "\n".join(lines) + "\n"


def _credentials(manager: str | None, administrator: str | None) -> list[str]:
    if not (manager or administrator):
        return []
    lines = [
        "# The credential that a command uses; --profile and the environment override it.",
        "[credentials]",
    ]
    if manager:
        lines.append(f"manager = {_toml(manager)}  # worker, health, serve, doctor")
    if administrator:
        used_by = "bootstrap, key, worker adopt, policy verify --live, audit --live"
        lines.append(f"administrator = {_toml(administrator)}  # {used_by}")
    return [*lines, ""]


def _toml(value: str | tuple[str, ...]) -> str:
    """Return *value* in TOML, whose basic strings are escaped as in JSON, except for DEL."""
    if isinstance(value, str):
        return json.dumps(value).replace("\x7f", "\\u007f")
    return "[" + ", ".join(_toml(each) for each in value) + "]"
