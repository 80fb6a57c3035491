"""AWS's partitions, which a help lists without loading the rest of the room."""

from typing import Final, Literal, get_args

Partition = Literal["aws", "aws-cn", "aws-us-gov"]
PARTITIONS: Final[tuple[str, ...]] = get_args(Partition)
"""The partitions with accounts that anyone can use.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html
"""
