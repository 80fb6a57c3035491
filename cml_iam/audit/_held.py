"""What a principal holds in an account: every policy that gives or limits its permissions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from cml_iam.policy import load_policy

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from cml_iam.aws.port import Aws
    from cml_iam.policy import PolicyDocument
    from cml_iam.site import Site

Kind = Literal["user", "role", "group"]
_NAME: Final[Mapping[Kind, str]] = {
    "user": "UserName",
    "role": "RoleName",
    "group": "GroupName",
}


@dataclass(frozen=True, slots=True)
class Held:
    """A policy: *arn* is None for an inline one, *group* the group it comes by, if any."""

    name: str
    arn: str | None
    document: PolicyDocument
    group: str | None = None

    @property
    def words(self) -> str:
        """What it is, and how it comes to the principal."""
        kind = f"the policy `{self.arn}`" if self.arn else f"the inline policy `{self.name}`"
        return f"{kind}, by the group `{self.group}`," if self.group else kind


@dataclass(frozen=True, slots=True)
class Holder:
    """The principal: its *boundary* is a policy too, with None where there is none."""

    arn: str
    tags: Mapping[str, str]
    boundary: Held | None
    boundary_arn: str | None


def read_holder(aws: Aws, site: Site) -> Holder:
    """Return the site's principal; raises NotFoundError where there is none.

    Two calls more where it has a boundary.
    """
    kind, name = principal_of(site)
    raw: dict[str, Any] = aws.call("iam", f"get_{kind}", **_address(kind, name))[kind.title()]
    arn = raw.get("PermissionsBoundary", {}).get("PermissionsBoundaryArn")
    tags = {tag["Key"]: tag["Value"] for tag in raw.get("Tags", ())}
    return Holder(raw["Arn"], tags, _managed(aws, arn) if arn else None, arn)


def read_held(aws: Aws, site: Site) -> tuple[Held, ...]:
    """Return the policies of the site's principal: attached, inline, and by its groups.

    Asked one by one, not by GetAccountAuthorizationDetails: what is asked then needs no permission
    on anybody else's policies, and costs the same in an account of ten thousand users.
    """
    kind, name = principal_of(site)
    known: dict[str, Held] = {}
    found = [*_policies(aws, kind, name, known)]
    if kind == "user":
        for each in aws.pages("iam", "list_groups_for_user", "Groups", UserName=name):
            found += _policies(aws, "group", each["GroupName"], known)
    return tuple(found)


def principal_of(site: Site) -> tuple[Literal["user", "role"], str]:
    """Return the kind and the name of the site's principal."""
    return ("role", site.role) if site.role else ("user", str(site.user))


def _address(kind: Kind, name: str) -> dict[str, Any]:
    return {_NAME[kind]: name}


def _policies(aws: Aws, kind: Kind, name: str, known: dict[str, Held]) -> Iterator[Held]:
    """Yield the policies of one entity; a managed one that is *known* is not read again."""
    address = _address(kind, name)
    group = name if kind == "group" else None
    attached = aws.pages("iam", f"list_attached_{kind}_policies", "AttachedPolicies", **address)
    for arn in [each["PolicyArn"] for each in attached]:
        if arn not in known:
            known[arn] = _managed(aws, arn)
        held = known[arn]
        yield Held(held.name, arn, held.document, group)
    for each in list(aws.pages("iam", f"list_{kind}_policies", "PolicyNames", **address)):
        raw = aws.call("iam", f"get_{kind}_policy", **address, PolicyName=each)
        yield Held(each, None, load_policy(raw["PolicyDocument"], each), group)


def _managed(aws: Aws, arn: str) -> Held:
    default = aws.call("iam", "get_policy", PolicyArn=arn)["Policy"]["DefaultVersionId"]
    raw = aws.call("iam", "get_policy_version", PolicyArn=arn, VersionId=default)
    name = arn.rpartition("/")[2]
    return Held(name, arn, load_policy(raw["PolicyVersion"]["Document"], name))
