"""Proof: what policies can permit, over all requests, with a witness.

Everything is imported on first use, to keep start-up fast.
"""

from typing import TYPE_CHECKING

from cml_iam.later import later

if TYPE_CHECKING:
    from cml_iam.prove._answers import Answered, Verdict, Witness
    from cml_iam.prove._comparison import CHANGES, WIDER, Comparison, Difference, ExpectationChange
    from cml_iam.prove._differences import differences, policies_of
    from cml_iam.prove._instances import TagTest, changing_key, giving, taking_away, where
    from cml_iam.prove._proof import Proof, prove_promise, prove_site, site_promises, statement_json
    from cml_iam.prove._question import (
        SHAPE_NAME,
        always,
        equivalent,
        is_sent,
        never,
        statement_of,
        within,
    )
    from cml_iam.prove._shape import parse_shape
    from cml_iam.prove._steps import lost, taken_over
    from cml_iam.space import Policies, Shape

__getattr__ = later(__name__)
