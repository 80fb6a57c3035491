"""Proof: what policies can permit, over all requests, with a witness.

Questions about policies alone are imported immediately. Modules that read the site's promises or
compare two policies are imported on first use, to keep start-up fast.
"""

from typing import TYPE_CHECKING, Final

from cml_iam.facts import Assumption
from cml_iam.later import later
from cml_iam.prove._answers import Answer, Answered, Verdict, Witness
from cml_iam.prove._instances import TagTest, changing_key, giving, taking_away, where
from cml_iam.prove._question import SHAPE_NAME, always, equivalent, is_sent, never, within
from cml_iam.prove._steps import Reached, lost, taken_over
from cml_iam.space import Policies, Shape

if TYPE_CHECKING:
    from cml_iam.prove._comparison import (
        CHANGES,
        WIDER,
        Change,
        Comparison,
        Difference,
        ExpectationChange,
    )
    from cml_iam.prove._differences import differences, policies_of
    from cml_iam.prove._proof import (
        Edit,
        Proof,
        prove_promise,
        prove_site,
        site_promises,
        statement_json,
    )
    from cml_iam.prove._shape import parse_shape
    from cml_iam.restrict import Promise

_LATER: Final = {
    "CHANGES": "_comparison",
    "Change": "_comparison",
    "Comparison": "_comparison",
    "Difference": "_comparison",
    "ExpectationChange": "_comparison",
    "WIDER": "_comparison",
    "differences": "_differences",
    "policies_of": "_differences",
    "Promise": "_proof",
    "site_promises": "_proof",
    "Edit": "_proof",
    "Proof": "_proof",
    "prove_promise": "_proof",
    "prove_site": "_proof",
    "statement_json": "_proof",
    "parse_shape": "_shape",
}

__all__ = [
    "CHANGES",
    "SHAPE_NAME",
    "WIDER",
    "Answer",
    "Answered",
    "Assumption",
    "Change",
    "Comparison",
    "Difference",
    "Edit",
    "ExpectationChange",
    "Policies",
    "Promise",
    "Proof",
    "Reached",
    "Shape",
    "TagTest",
    "Verdict",
    "Witness",
    "always",
    "changing_key",
    "differences",
    "equivalent",
    "giving",
    "is_sent",
    "lost",
    "never",
    "parse_shape",
    "policies_of",
    "prove_promise",
    "prove_site",
    "site_promises",
    "statement_json",
    "taken_over",
    "taking_away",
    "where",
    "within",
]

__getattr__ = later(__name__, _LATER)
