"""Pairs of policies whose difference random requests miss, with the answer each must get.

The answers follow from how each pair is built, which the comments and names say; none was taken
from the prover. `WITHIN`: the candidate grants nothing new; `EXCEEDS`: it does. Names are the
cases' ids.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

WITHIN, EXCEEDS = "holds", "broken"
OBJECT = "arn:aws:s3:::b/*"
Json = dict[str, Any]


@dataclass(frozen=True)
class Case:
    name: str
    candidate: Json
    reference: Json
    answer: str
    boundary: Json | None = None
    """Of the candidate."""

    @property
    def of_resources(self) -> bool:
        """Whether both are policies of a resource, which name callers."""
        return any("Principal" in each for each in self.reference["Statement"])


def allow(*conditions: Json, action: Any = "s3:GetObject", resource: Any = OBJECT) -> Json:
    """A policy with one Allow for each of *conditions*; with none, one without conditions."""
    return document(
        *(said("Allow", condition, action, resource) for condition in conditions or ({},))
    )


def document(*statements: Json, version: str = "2012-10-17") -> Json:
    return {"Version": version, "Statement": list(statements)}


def said(
    effect: str, condition: Json, action: Any = "s3:GetObject", resource: Any = OBJECT
) -> Json:
    made = {"Effect": effect, "Action": action, "Resource": resource}
    return made | ({"Condition": condition} if condition else {})


def both_ways(name: str, small: Json, large: Json) -> Iterator[Case]:
    """*small* grants less than *large*."""
    yield Case(f"{name}, narrower", small, large, WITHIN)
    yield Case(f"{name}, wider", large, small, EXCEEDS)


def same(name: str, one: Json, other: Json) -> Iterator[Case]:
    yield Case(f"{name}, one way", one, other, WITHIN)
    yield Case(f"{name}, other way", other, one, WITHIN)


def apart(name: str, one: Json, other: Json) -> Iterator[Case]:
    """Each grants something the other does not."""
    yield Case(f"{name}, one way", one, other, EXCEEDS)
    yield Case(f"{name}, other way", other, one, EXCEEDS)


USER, LABEL = "aws:username", "my:label"


def like(*patterns: str, key: str = LABEL) -> Json:
    return {"StringLike": {key: list(patterns)}}


def unlike(*patterns: str, key: str = LABEL) -> Json:
    return {"StringNotLike": {key: list(patterns)}}


def equal(*texts: str, key: str = LABEL) -> Json:
    return {"StringEquals": {key: list(texts)}}


def unequal(*texts: str, key: str = LABEL) -> Json:
    return {"StringNotEquals": {key: list(texts)}}


def null(value: str, key: str = LABEL) -> Json:
    return {"Null": {key: value}}
