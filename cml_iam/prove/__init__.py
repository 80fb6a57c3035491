"""Proof: what policies can ever permit, over all requests, with a witness."""

from cml_iam.prove._answers import Answer, Answered, Policies, Shape, Verdict, Witness
from cml_iam.prove._known import Assumption
from cml_iam.prove._question import always, equivalent, never, within

__all__ = [
    "Answer",
    "Answered",
    "Assumption",
    "Policies",
    "Shape",
    "Verdict",
    "Witness",
    "always",
    "equivalent",
    "never",
    "within",
]
