"""The port to AWS; only this package imports boto3 and botocore."""

from typing import TYPE_CHECKING

from cml_iam.aws.port import Aws, Counted, Identity, Session
from cml_iam.later import later

if TYPE_CHECKING:
    from cml_iam.aws._connect import check_account, connect, source_of
    from cml_iam.aws._session import Greeting, greet
    from cml_iam.aws._source import Source

__getattr__ = later(__name__)
