"""An account: its users and roles with every policy that grants or limits permissions.

It is read from the response of iam:GetAccountAuthorizationDetails, from a file or live. Service
control policies and resource policies come from separate files.
https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetAccountAuthorizationDetails.html
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import unquote

from cml_iam.errors import DocumentError, InputError, NotFoundError, Problem
from cml_iam.policy import Arn, PolicyDocument, Principals, load_policy
from cml_iam.principal import NAME, Held, Holdings, Kind, Owner, Unread, tags_of

if TYPE_CHECKING:
    from cml_iam.aws.port import Aws

LISTS: Final = ("UserDetailList", "GroupDetailList", "RoleDetailList", "Policies")
DOWNLOAD: Final = "aws iam get-account-authorization-details --output json"
"""The command that prints the complete authorization details of an account."""

OF_TRUST: Final = ("sts:assumerole", "sts:tagsession", "sts:setsourceidentity")
"""Prefixes, in lower case, of the actions that a role's trust policy decides."""

MAX_ITEMS: Final = 1000
"""The number of elements per page, which is AWS's maximum."""


@dataclass(frozen=True, slots=True, eq=False)
class Member:
    """A user or role of the account; *id* is its unique id, *trust* a role's trust policy."""

    kind: Kind
    name: str
    id: str
    holdings: Holdings
    groups: tuple[str, ...] = ()
    trust: PolicyDocument | None = None

    @property
    def arn(self) -> str:
        """Its ARN."""
        return self.holdings.arn

    @property
    def account(self) -> str:
        """The number of its account."""
        return Arn.parse(self.arn).account

    @property
    def label(self) -> str:
        """`user/name` or `role/path/name`, as in its ARN."""
        return Arn.parse(self.arn).resource

    @property
    def service_linked(self) -> bool:
        """Whether it is a service-linked role, which SCPs do not affect."""
        return self.label.startswith("role/aws-service-role/")


class Session(NamedTuple):
    """A session of the role named *role*; the ARN of a session does not have the role's path."""

    account: str
    role: str
    name: str


def session_of(arn: str) -> Session | None:
    """Return the role session that *arn* names; None if it names anything else.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html
    """
    kind, _, rest = arn.partition(":assumed-role/")
    role, _, name = rest.partition("/")
    return Session(kind.rpartition(":")[2], role, name) if name and ":sts:" in kind else None


def named(principals: Principals | None) -> Iterator[tuple[str, str]]:
    """Yield the kind and the name of each of *principals*; everyone is `*` of the kind AWS."""
    if principals is None:
        return
    if principals.everyone:
        yield "AWS", "*"
    for kind, names in principals.ids:
        yield from ((kind, name) for name in names)


@dataclass(frozen=True)
class Account:
    """The *members* of an account, the policies of its *groups*, and the policies that limit all.

    *scps* are the service control policies of each level, from the root to the account; *resources*
    are resource policies by ARN.
    """

    number: str
    partition: str
    members: tuple[Member, ...]
    groups: Mapping[str, Holdings] = field(default_factory=dict)
    scps: tuple[tuple[PolicyDocument, ...], ...] = ()
    resources: Mapping[str, PolicyDocument] = field(default_factory=dict)
    organization: str | None = None

    @cached_property
    def by_arn(self) -> Mapping[str, Member]:
        """The members by ARN."""
        return {member.arn: member for member in self.members}

    @cached_property
    def roles(self) -> Mapping[str, Member]:
        """The roles by name, which is unique in an account."""
        return {member.name: member for member in self.members if member.kind == "role"}

    def role_of_session(self, arn: str) -> Member | None:
        """Return the role of the session *arn*, if it is a role of this account."""
        session = session_of(arn)
        return self.roles.get(session.role) if session and session.account == self.number else None

    def policy_on(self, action: str, resource: str) -> PolicyDocument | None:
        """Return the resource policy that decides *action* on *resource*, if it is known.

        This is the trust policy of a role in this account, or one of the given policies. The policy
        of a bucket or access point also decides for its objects.
        https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-policy-language-overview.html
        """
        if action.lower().startswith(OF_TRUST):
            role = self.by_arn.get(resource)
            return role.trust if role else None
        containers = (arn for arn in self.resources if resource.startswith(f"{arn}/"))
        buckets = (arn for arn in containers if Arn.parse(arn).service == "s3")
        return self.resources.get(resource if resource in self.resources else next(buckets, ""))


def read_account(aws: Aws) -> Account:
    """Read the account of *aws*; raises DeniedError if the caller may not."""
    whole: dict[str, list[Any]] = {name: [] for name in LISTS}
    marker: dict[str, Any] = {}
    while True:
        page = aws.call("iam", "get_account_authorization_details", MaxItems=MAX_ITEMS, **marker)
        for name in LISTS:
            whole[name] += page.get(name, ())
        if not page.get("IsTruncated"):
            return account_of(whole)
        marker = {"Marker": page["Marker"]}


def account_of(raw: Any, name: str = "the account") -> Account:
    """Return the account in a response of iam:GetAccountAuthorizationDetails.

    Raises InputError if *raw* is not a response of this operation, or only one page of one.
    """
    wrong = f"`{name}` is not a response of iam:GetAccountAuthorizationDetails"
    remedy = f"write it with `{DOWNLOAD} > account.json`"
    if not isinstance(raw, Mapping) or not {"UserDetailList", "RoleDetailList"} <= raw.keys():
        raise InputError(wrong, remedy=remedy)
    if raw.get("IsTruncated"):
        raise InputError(
            f"`{name}` is one page of several, so members are missing",
            remedy=f"read all pages, for example with `{DOWNLOAD}`",
        )
    try:
        return _Reader(raw).account(name)
    except (LookupError, TypeError, AttributeError) as error:
        raise InputError(f"{wrong}: {error!r}", remedy=remedy) from None


def with_scps(account: Account, raw: Any, name: str = "the service control policies") -> Account:
    """Return *account* with the policies of each level, from the root to the account.

    *raw* is a list of levels, each a list of policy documents; or an object with `levels`, each
    with its `policies` as AWS Organizations describes them (`Name`, `Content`), and optionally
    `org` and `management`, the id of the management account, which SCPs do not limit.
    https://docs.aws.amazon.com/organizations/latest/userguide/orgs_manage_policies_scps.html
    """
    levels = raw.get("levels") if isinstance(raw, Mapping) else raw
    if not isinstance(levels, list) or not levels:
        raise InputError(
            f"`{name}` must be a list of levels, each a list of policies, from the root to the "
            "account"
        )
    about = raw if isinstance(raw, Mapping) else {}
    account = replace(account, organization=about.get("org"))
    if about.get("management") == account.number:
        return account
    scps = (tuple(_of_level(level, f"{name}, level {n}")) for n, level in enumerate(levels, 1))
    return replace(account, scps=tuple(scps))


def with_resources(account: Account, raw: Any, name: str = "the resource policies") -> Account:
    """Return *account* with resource policies: an object of documents by ARN."""
    if not isinstance(raw, Mapping) or not all(str(key).startswith("arn:") for key in raw):
        raise InputError(f"`{name}` is not an object of policy documents by ARN")
    resources = {arn: _document(document, f"the policy of {arn}") for arn, document in raw.items()}
    return replace(account, resources=resources)


def _of_level(raw: Any, name: str) -> Iterator[PolicyDocument]:
    policies = raw.get("policies", []) if isinstance(raw, Mapping) else raw
    if not isinstance(policies, list):
        raise InputError(f"`{name}` must be a list of policies")
    for number, policy in enumerate(policies, 1):
        described = policy if isinstance(policy, Mapping) else {}
        own = described.get("Name") or f"{name}, policy {number}"
        yield _document(described.get("Content", policy), own)


def _document(raw: Any, name: str) -> PolicyDocument:
    """Return a document given as an object, JSON text, or URL-encoded JSON text."""
    if isinstance(raw, str) and raw.startswith("%7B"):
        raw = unquote(raw)
    if not isinstance(raw, str | Mapping):
        raise DocumentError((Problem(f"`{name}` is not a policy document"),))
    return load_policy(raw, name)


class _Reader:
    """Creates members from a response; equal documents are shared."""

    def __init__(self, raw: Mapping[str, Any]) -> None:
        self._raw = raw
        self._documents: dict[str, PolicyDocument] = {}
        self._managed = {policy["Arn"]: policy for policy in raw.get("Policies", ())}

    def account(self, name: str) -> Account:
        """Return the account with all its members."""
        raw = self._raw.get("GroupDetailList", ())
        groups = {group["GroupName"]: self._holdings("group", group) for group in raw}
        members = [
            *(self._member("user", user, groups) for user in self._raw["UserDetailList"]),
            *(self._member("role", role, groups) for role in self._raw["RoleDetailList"]),
        ]
        if not members:
            raise InputError(f"`{name}` has no users and no roles")
        arn = Arn.parse(members[0].arn)
        return Account(arn.account, arn.partition, tuple(members), groups)

    def _member(self, kind: Kind, raw: Mapping[str, Any], groups: Mapping[str, Holdings]) -> Member:
        own = self._holdings(kind, raw)
        policies, unread = [*own.policies], [*own.unread]
        for name in raw.get("GroupList", ()):
            if name in groups:
                policies += groups[name].policies
                unread += groups[name].unread
            else:
                unread.append(_missing(f"the group `{name}`"))
        document = raw.get("AssumeRolePolicyDocument") if kind == "role" else None
        trust = None if document is None else self._shared(document)
        return Member(
            kind,
            raw[NAME[kind]],
            raw.get(f"{kind.title()}Id", ""),
            replace(own, policies=tuple(policies), unread=tuple(unread)),
            tuple(raw.get("GroupList", ())),
            trust,
        )

    def _holdings(self, kind: Owner, raw: Mapping[str, Any]) -> Holdings:
        group = raw["GroupName"] if kind == "group" else None
        unread: list[Unread] = []
        policies = [
            Held(policy["PolicyName"], None, self._shared(policy["PolicyDocument"]), group)
            for policy in raw.get(f"{kind.title()}PolicyList", ())
        ]
        for attached in raw.get("AttachedManagedPolicies", ()):
            name, arn = attached["PolicyName"], attached["PolicyArn"]
            document = self._default(arn)
            if document is None:
                unread.append(_missing(f"the policy `{arn}`"))
            else:
                policies.append(Held(name, arn, document, group))
        arn = raw.get("PermissionsBoundary", {}).get("PermissionsBoundaryArn")
        limit = self._default(arn) if arn else None
        boundary = Held(arn.rpartition("/")[2], arn, limit) if arn and limit else None
        if arn and limit is None:
            unread.append(_missing(f"the permissions boundary `{arn}`"))
        return Holdings(raw["Arn"], tags_of(raw), tuple(policies), arn, boundary, tuple(unread))

    def _default(self, arn: str) -> PolicyDocument | None:
        for version in self._managed.get(arn, {}).get("PolicyVersionList", ()):
            if version.get("IsDefaultVersion") and "Document" in version:
                return self._shared(version["Document"])
        return None

    def _shared(self, raw: Any) -> PolicyDocument:
        text = raw if isinstance(raw, str) else json.dumps(raw)
        if text not in self._documents:
            self._documents[text] = _document(raw, "policy")
        return self._documents[text]


def _missing(subject: str) -> Unread:
    return Unread(subject, NotFoundError("not in the answer"))
