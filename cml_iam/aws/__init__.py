"""The port to AWS; only this package imports boto3 and botocore."""

from typing import TYPE_CHECKING, Final

from cml_iam.aws.port import Aws, Counted, Identity, Session, is_read
from cml_iam.later import later

if TYPE_CHECKING:
    from cml_iam.aws._connect import check_account, connect, source_of
    from cml_iam.aws._greeting import Greeting, greet
    from cml_iam.aws._source import Source, find_source

_LATER: Final = {
    "Greeting": "_greeting",
    "Source": "_source",
    "check_account": "_connect",
    "connect": "_connect",
    "find_source": "_source",
    "greet": "_greeting",
    "source_of": "_connect",
}
"""By module, the names that only callers of AWS need; imported on first use for a fast start."""

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

__getattr__ = later(__name__, _LATER)
