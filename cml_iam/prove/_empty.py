"""Questions about requests that AWS never sends, for which anything is true."""

from __future__ import annotations

from functools import cache
from typing import Final

from cml_iam.policy import load_policy
from cml_iam.prove._answers import Verdict
from cml_iam.prove._question import never
from cml_iam.space import Policies, Shape

_ALLOW: Final = {"Effect": "Allow", "Action": "*"}


def is_sent(shape: Shape, *, of_resource: bool = False) -> Verdict:
    """Return whether AWS sends any request of *shape*: `broken`, with a request, if it does.

    If it `holds` that AWS sends none, every policy answers *shape* alike. With *of_resource* the
    question is about a resource's policy, with any caller.
    """
    return never(_everything(of_resource=of_resource), shape, is_likely=True)


@cache
def _everything(*, of_resource: bool) -> Policies:
    given = {"Principal": "*"} if of_resource else {"Resource": "*"}
    document = {"Version": "2012-10-17", "Statement": [_ALLOW | given]}
    allowing = load_policy(document, "everything")
    return Policies(resource=allowing) if of_resource else Policies((allowing,))
