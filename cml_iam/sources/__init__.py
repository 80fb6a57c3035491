"""Policies in their usual sources: YAML, CloudFormation templates, Terraform plans.

What fills in a template or plan is imported on first use: most files are plain JSON.
"""

from typing import TYPE_CHECKING

from cml_iam.later import later
from cml_iam.sources._kept import Kept, Reading, Source, Subject, plain_subject
from cml_iam.sources._read import may_hold_policy, read_source, subjects_in

if TYPE_CHECKING:
    from cml_iam.sources._readings import document_of, pseudo_of

__getattr__ = later(__name__)
