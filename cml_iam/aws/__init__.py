"""AWS behind one small port; the only package that imports botocore."""

from cml_iam.aws._connect import check_account, connect, source_of
from cml_iam.aws._greeting import Greeting, greet
from cml_iam.aws._source import Source, find_source
from cml_iam.aws.port import Aws, Counted, Identity, Session, is_read

__all__ = [
    "Aws",
    "Counted",
    "Greeting",
    "Identity",
    "Session",
    "Source",
    "check_account",
    "connect",
    "find_source",
    "greet",
    "is_read",
    "source_of",
]
