"""The tags that our resources carry, and the steps that put them on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cml_iam.errors import RefusedError
from cml_iam.provision._plan import Call, Step

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cml_iam.provision._plan import Wanted

OUR_TAG: Final = ("cml-iam:managed", "true")
"""The tag that says: cml-iam made this, or took it over."""

MOST_TAGS: Final = 50
"""https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html"""

TAKEN_OVER: Final = "~ not made by cml-iam: taken over"


def tags_wanted(wanted: Wanted) -> dict[str, str]:
    """Return every tag our resources carry; raises RefusedError for more than IAM takes."""
    tags = {**dict([OUR_TAG]), **wanted.tags}
    _check_number("a new resource", tags)
    return tags


def _check_number(resource: str, tags: Mapping[str, str]) -> None:
    if len(tags) > MOST_TAGS:
        raise RefusedError(
            f"{resource} would have {len(tags)} tags, and AWS allows {MOST_TAGS}",
            remedy="give fewer with --tag, or remove some from it first",
        )


def tag_pairs(wanted: Wanted) -> list[dict[str, str]]:
    """Return the tags as IAM takes them."""
    return [{"Key": key, "Value": value} for key, value in tags_wanted(wanted).items()]


def tag_lines(tags: Mapping[str, str]) -> list[str]:
    """Return a line for each of *tags*."""
    return [f"tag {key}={value}" for key, value in tags.items()]


def ours(tags: Mapping[str, str]) -> bool:
    """Whether what carries *tags* was made or taken over by cml-iam."""
    return tags.get(OUR_TAG[0]) == OUR_TAG[1]


def tag_step(
    resource: str, name: str, tags: Mapping[str, str], address: Mapping[str, str], wanted: Wanted
) -> Step:
    """Return the step that adds the tags that are missing; new resources are made with them."""
    missing = {k: v for k, v in tags_wanted(wanted).items() if tags.get(k) != v}
    if not missing:
        return Step("keep", f"{resource} tags", name)
    _check_number(f"the {resource} `{name}`", {**tags, **missing})
    lines = [
        f"~ tag {key}={tags[key]} → {value}" if key in tags else f"+ tag {key}={value}"
        for key, value in missing.items()
    ]
    if OUR_TAG[0] in missing:
        lines.insert(0, TAKEN_OVER)
    parameters = {**address, "Tags": [{"Key": k, "Value": v} for k, v in missing.items()]}
    call = Call("iam", f"tag_{resource}", parameters)
    return Step("change", f"{resource} tags", name, tuple(lines), (call,))
