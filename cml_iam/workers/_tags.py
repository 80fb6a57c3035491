"""The guard tag, and the rules for setting, changing and removing tags.

https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Tags.html#tag-restrictions
"""

from __future__ import annotations

import re
from sys import intern
from typing import TYPE_CHECKING, Final

from cml_iam.errors import InputError, RefusedError
from cml_iam.visible import unseen, visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from cml_iam.tag import Tag

MAX_TAGS = 50
_MAX_KEY, _MAX_VALUE = 128, 256
INSTANCE_ID: Final = re.compile(r"i-([0-9a-f]{8}|[0-9a-f]{17})")


def launch_tags(tags: Mapping[str, str], name: str, guard: Tag) -> dict[str, str]:
    """Return the tags of a new worker: *tags*, its *name*, and the guard tag."""
    for key, value in tags.items():
        if guard.is_key(key) and (key, value) != (guard.key, guard.value):
            raise RefusedError(
                f"a worker is launched with the guard tag `{guard}`, not with `{key}={value}`",
                remedy="omit this tag: it is set automatically",
            )
    all_tags = {**tags, "Name": name, guard.key: guard.value}
    check_tags(all_tags)
    return all_tags


def check_update(tags: Mapping[str, str], guard: Tag) -> None:
    """Raise an error unless *tags* may be set on an existing worker."""
    if not tags:
        raise InputError("no tag given", remedy="name at least one as KEY=VALUE")
    _leave_guard_alone(tags, guard)
    check_tags(tags)
    if "Name" in tags:
        check_name(tags["Name"])


def check_removal(keys: Iterable[str], guard: Tag) -> None:
    """Raise an error unless the tags *keys* may be removed from a worker.

    DeleteTags without a list of tags deletes all of them, including the guard tag.
    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DeleteTags.html
    """
    named = list(keys)
    if not named:
        raise InputError(
            "no tag given: AWS would delete all tags", remedy="name the tags to remove"
        )
    _leave_guard_alone(named, guard)
    for key in named:
        _check_key(key)


def check_tags(tags: Mapping[str, str]) -> None:
    """Raise InputError for tags that AWS does not accept."""
    if len(tags) > MAX_TAGS:
        raise InputError(f"{len(tags)} tags: an instance can have at most {MAX_TAGS}")
    for key, value in tags.items():
        _check_key(key)
        if len(value) > _MAX_VALUE:
            raise InputError(
                f"the value of tag `{visible(key)}` is longer than {_MAX_VALUE} characters"
            )
        _check_seen(key, f"the key of tag `{visible(key)}`")
        _check_seen(value, f"the value of tag `{visible(key)}`")


def check_name(name: str) -> None:
    """Raise InputError unless *name* can be typed and cannot be mistaken for an id or a pattern."""
    if not name.strip():
        raise InputError("a worker needs a name")
    _check_seen(name, "the name")
    if name != name.strip():
        raise InputError(f"a name must not begin or end with a space: `{name}`")
    if set("*?") & set(name):
        raise RefusedError(
            f"`{name}` would match other workers too: * and ? are wildcards",
            remedy="leave them out of the name",
        )
    if INSTANCE_ID.fullmatch(name):
        raise RefusedError(f"`{name}` looks like an instance id", remedy="another name")


def _check_seen(text: str, what: str) -> None:
    if found := unseen(text):
        raise InputError(
            f"{what} has invisible characters: {', '.join(found)}",
            remedy="remove line breaks, control and formatting characters",
        )


def _check_key(key: str) -> None:
    if not key or len(key) > _MAX_KEY:
        shown = visible(key[:_MAX_KEY])
        raise InputError(f"a tag's key has 1 to {_MAX_KEY} characters: `{shown}`")
    if key.casefold().startswith("aws:"):
        raise RefusedError(f"tag `{key}` is reserved: keys that begin with `aws:` belong to AWS")


def _leave_guard_alone(keys: Iterable[str], guard: Tag) -> None:
    for key in keys:
        if guard.is_key(key):
            raise RefusedError(
                f"`{key}` is the guard tag: another value makes the manager lose the worker or "
                "take over a foreign instance",
                remedy="only an administrator may set it, with other credentials",
            )


def from_aws(tags: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """Return *tags* in the form of AWS's API as a mapping, sorted by key."""
    ordered = sorted(tags, key=lambda tag: tag["Key"])
    return {intern(tag["Key"]): intern(tag.get("Value", "")) for tag in ordered}
