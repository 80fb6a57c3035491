"""Policies in their usual sources: YAML, CloudFormation templates, Terraform plans."""

from cml_iam.sources._kept import Kept, Reading, Source, Subject
from cml_iam.sources._read import may_hold_policy, read_source
from cml_iam.sources._readings import document_of, plain_subject, pseudo_of, subject_of

__all__ = [
    "Kept",
    "Reading",
    "Source",
    "Subject",
    "document_of",
    "may_hold_policy",
    "plain_subject",
    "pseudo_of",
    "read_source",
    "subject_of",
]
