"""Make one expectation; allowed until the site's restrictions say otherwise."""

from __future__ import annotations

from typing import Final

from cml_iam import authorization as ask
from cml_iam.engine import Request
from cml_iam.expectations._expectation import Expectation
from cml_iam.expectations._stage import Stage

RUN: Final = "ec2:RunInstances"
CREATE_TAGS: Final = "ec2:CreateTags"


def expect_launch(
    stage: Stage,
    situation: str,
    name: str,
    description: str,
    launch: ask.Launch,
    violates: tuple[str, ...],
    kind: str,
) -> Expectation:
    """Return the expectation of a launch that the authorization on *kind* must refuse."""
    requests = ask.launch(stage.caller, launch)
    decisive = tuple(
        index
        for index, request in enumerate(requests)
        if request.action != CREATE_TAGS and f":{kind}/" in request.resource
    )
    return expect(RUN, situation, name, description, requests, violates, decisive)


def expect(
    action: str,
    situation: str,
    name: str,
    description: str,
    requests: tuple[Request, ...],
    violates: tuple[str, ...] = (),
    decisive: tuple[int, ...] = (0,),
) -> Expectation:
    return Expectation(
        id=f"{action.partition(':')[2]}/{situation.replace(' ', '-')}/{name}",
        permission=action,
        situation=situation,
        description=description,
        requests=requests,
        expected="allowed",
        violates=frozenset(violates),
        decisive=decisive,
    )
