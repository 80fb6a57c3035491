"""The policies a principal has now, read from IAM."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from cml_iam.policy import Arn, load_policy
from cml_iam.provision import read_policy, read_principal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cml_iam.aws import Aws
    from cml_iam.policy import PolicyDocument

Kind = Literal["user", "role", "group"]


@dataclass(frozen=True, slots=True)
class Attached:
    """The policies that decide what a principal may do: *live* from IAM, or what should be."""

    identity: tuple[PolicyDocument, ...]
    boundary: PolicyDocument | None = None
    live: bool = True

    @property
    def where(self) -> str:
        """Where they were found, in words."""
        return "attached now" if self.live else "of the site file; those attached may not be read"


def principal_of(arn: str) -> tuple[Kind, str] | None:
    """Return kind and name of the user, or of the role of a session; None for the root."""
    kind, _, rest = Arn.parse(arn).resource.partition("/")
    if kind == "user":
        return "user", rest.rpartition("/")[2]
    if kind == "role":
        return "role", rest.rpartition("/")[2]
    return ("role", rest.partition("/")[0]) if kind == "assumed-role" else None


def read_attached(aws: Aws, kind: Kind, name: str) -> Attached | None:
    """Return the policies of a user or role, those of its groups too; None where it is not there.

    Raises DeniedError where they may not be read.
    """
    if kind == "group":
        raise ValueError(kind)
    found = read_principal(aws, kind, name)
    if found is None:
        return None
    documents = [*_managed(aws, found.attached), *_inline(aws, kind, name)]
    if kind == "user":
        for group in list(aws.pages("iam", "list_groups_for_user", "Groups", UserName=name)):
            documents += _of_group(aws, group["GroupName"])
    boundary = next(_managed(aws, (found.boundary,)), None) if found.boundary else None
    return Attached(tuple(documents), boundary)


def _of_group(aws: Aws, name: str) -> Iterator[PolicyDocument]:
    attached = aws.pages("iam", "list_attached_group_policies", "AttachedPolicies", GroupName=name)
    yield from _managed(aws, tuple(each["PolicyArn"] for each in attached))
    yield from _inline(aws, "group", name)


def _managed(aws: Aws, arns: tuple[str, ...]) -> Iterator[PolicyDocument]:
    for arn in arns:
        policy = read_policy(aws, arn)
        if policy is not None:
            yield policy.document


def _inline(aws: Aws, kind: Kind, name: str) -> Iterator[PolicyDocument]:
    address: dict[str, Any] = {f"{kind.title()}Name": name}
    for each in list(aws.pages("iam", f"list_{kind}_policies", "PolicyNames", **address)):
        raw = aws.call("iam", f"get_{kind}_policy", **address, PolicyName=each)
        yield load_policy(raw["PolicyDocument"], f"{each} (inline, {kind} {name})")
