"""The steps of a witness as a path: what the caller does, what then fits, where it leads."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from cml_iam.audit.write._words import FAILED, NOTED, PASSED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cml_iam.audit._report import Ask, AuditFinding

_OF_SEQUENCES = ("CML5", "CML717")
"""The rules whose witness is a sequence of calls."""

_SET = "aws:requesttag/"
_HAS = ("ec2:resourcetag/", "aws:resourcetag/")


@dataclass(frozen=True, slots=True)
class PathStep:
    """A station of the path: an action, or the tag that one sets and the next one asks for.

    *result* is how it comes out; *kind* says whether that is `fine`, `bad`, or `plain`ly a step.
    """

    head: str
    text: str
    result: str
    kind: str


def path_of(finding: AuditFinding) -> tuple[PathStep, ...]:
    """Return the path a finding's witness takes; empty where its requests are no steps of one.

    They are steps where the rule is about sequences of calls: escalations (CML5…), and promises
    that are broken. The requests of any other rule are examples, each by itself, even where one
    happens to set a tag that another asks for.
    """
    steps = finding.witness
    if len(steps) < 2 or not finding.rule.startswith(_OF_SEQUENCES):
        return ()
    links = [_tag(first, second) for first, second in pairwise(steps)]
    return tuple(_stations(steps, links))


def _stations(steps: tuple[Ask, ...], links: list[str]) -> Iterator[PathStep]:
    for number, (step, link) in enumerate(zip(steps, [*links, ""], strict=True), start=1):
        yield PathStep(step.action, step.says, *_result(step, last=number == len(steps)))
        if link:
            yield PathStep(link, "the tag that the condition asks for", f"{NOTED} matches", "plain")


def _result(step: Ask, *, last: bool) -> tuple[str, str]:
    """Return the outcome in a word; whatever it is, the *last* is what must not come to pass."""
    word = "allowed" if step.outcome == "allowed" else "refused"
    if last:
        return f"{FAILED} {word}", "bad"
    return (f"{NOTED} {word}", "plain") if word == "allowed" else (f"{PASSED} {word}", "fine")


def _tag(first: Ask, second: Ask) -> str:
    """Return the tag, as `key=value`, that *first* sets and *second* asks for; empty for none."""
    wanted = {
        key[len(has) :].lower(): value
        for key, value in ((each.lower(), second.context[each]) for each in second.context)
        for has in _HAS
        if key.startswith(has)
    }
    for key in sorted(first.context):
        name = key[len(_SET) :]
        if key.lower().startswith(_SET) and wanted.get(name.lower()) == first.context[key]:
            return f"{name}={first.context[key]}"
    return ""
