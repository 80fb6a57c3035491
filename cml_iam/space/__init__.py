"""Space: which requests there are, as far as statements can distinguish them.

Actions, resources, condition keys, values and callers fall into classes that no statement in
question takes apart; each class has a readable example. Proof, diff, lint and audit ask about the
same classes, so they cannot disagree on what a request can be.
"""

from cml_iam.policy import Shape
from cml_iam.space._boxes import Box, Budget, leaving, lowest, meet
from cml_iam.space._colon import taking_colons
from cml_iam.space._conditions import Asked
from cml_iam.space._contradict import apart
from cml_iam.space._globs import Glob, glob, representatives
from cml_iam.space._places import Class, Place, classes, loose_places, together
from cml_iam.space._policies import Policies, documents
from cml_iam.space._search import Found, Goal, Searcher
from cml_iam.space._statements import Part, Side, side_of
from cml_iam.space._types import moments

__all__ = [
    "Asked",
    "Box",
    "Budget",
    "Class",
    "Found",
    "Glob",
    "Goal",
    "Part",
    "Place",
    "Policies",
    "Searcher",
    "Shape",
    "Side",
    "apart",
    "classes",
    "documents",
    "glob",
    "leaving",
    "loose_places",
    "lowest",
    "meet",
    "moments",
    "representatives",
    "side_of",
    "taking_colons",
    "together",
]
