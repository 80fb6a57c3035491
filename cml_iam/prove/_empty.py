"""Questions about nothing: kinds of requests that AWS never sends, of which anything is true."""

from __future__ import annotations

from typing import Any, Final

from cml_iam.policy import PolicyDocument, load_policy
from cml_iam.prove._answers import Verdict
from cml_iam.prove._question import never
from cml_iam.space import Policies, Shape

_ALLOW: Final = {"Effect": "Allow", "Action": "*"}


def is_sent(shape: Shape, *, of_resource: bool = False) -> Verdict:
    """Say whether AWS sends a request of *shape* at all: it is `broken`, with one, if so.

    Where it `holds` that it sends none, every policy answers *shape* alike. With *of_resource* the
    policy of a resource is what is asked, whoever calls.
    """
    if of_resource:
        return never(
            Policies(resource=_document({**_ALLOW, "Principal": "*"})), shape, is_likely=True
        )
    return never(Policies((_document({**_ALLOW, "Resource": "*"}),)), shape, is_likely=True)


def _document(statement: dict[str, Any]) -> PolicyDocument:
    return load_policy({"Version": "2012-10-17", "Statement": [statement]}, "everything")
