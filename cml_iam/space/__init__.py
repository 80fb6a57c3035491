"""The space of requests, as far as statements can distinguish them.

Actions, resources, condition keys, values and callers fall into classes that no statement in
question distinguishes further; each class has a readable example. Proof, diff, lint and audit use
the same classes, so they cannot disagree on what a request can be.
"""

from cml_iam.policy import Shape
from cml_iam.space._boxes import Budget
from cml_iam.space._examples import moments
from cml_iam.space._gathered import Frame
from cml_iam.space._globs import ACCOUNT_ID, REGION_NAME, Glob, glob, representatives
from cml_iam.space._places import Class, Place, classes, loose_places, together, typed_places
from cml_iam.space._search import Goal, Searcher, SliceResult
from cml_iam.space._sides import (
    Policies,
    Side,
    apart,
    documents,
    side_of,
    statements_of,
    taking_colons,
)
from cml_iam.space._statements import KeyCondition, Part
from cml_iam.space._values import Query, values_of
