"""Amazon Resource Names (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from cml_iam.errors import InputError

ARN_FIELDS: Final = 6


@dataclass(frozen=True, slots=True)
class Arn:
    """The six fields of `arn:partition:service:region:account:resource`, wildcards included."""

    partition: str
    service: str
    region: str
    account: str
    resource: str

    @classmethod
    def parse(cls, text: str) -> Arn:
        """Return the fields of *text*; raises InputError if it is not an ARN."""
        fields = text.split(":", ARN_FIELDS - 1)
        if len(fields) != ARN_FIELDS or fields[0] != "arn":
            raise InputError(f"not an ARN: `{text}`", remedy="an ARN has six fields: arn:aws:…")
        return cls(*fields[1:])

    def __str__(self) -> str:
        return ":".join(
            ("arn", self.partition, self.service, self.region, self.account, self.resource)
        )

    @property
    def type(self) -> str:
        """The resource type of EC2 and IAM ARNs, `instance` of `instance/i-1`; otherwise empty."""
        kind, slash, _ = self.resource.partition("/")
        return kind if slash else ""
