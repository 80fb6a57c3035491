"""Requests of strangers: callers who have no more access to the account than anybody on AWS.

The engine decides whether a document admits a stranger, on requests made for the document: whatever
a stranger can choose freely (a header, a tag of its own user) has the value that the document
requires, and whatever identifies the stranger has the stranger's own value.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, product
from typing import Any, Final

from cml_iam import facts
from cml_iam.engine import Request
from cml_iam.engine.parts import moment
from cml_iam.facts import EXAMPLE_ACCOUNT
from cml_iam.lint._ask import authorizer_of
from cml_iam.lint._names import VARIABLE
from cml_iam.lint._principals import SOURCES
from cml_iam.lint._subject import Clause, Item, Subject
from cml_iam.space import KeyCondition, Query, values_of

Values = Callable[[str, Sequence[Clause]], Sequence[Any]]
"""The values that a stranger may send for a key (in lower case) of some conditions."""

MOST: Final = 4096
"""The maximum number of requests tried for one statement."""

MOST_TEXTS: Final = 128
"""The maximum number of texts kept after each wildcard of a pattern."""

ROLE: Final = f"arn:aws:iam::{EXAMPLE_ACCOUNT}:role/this-role"
"""The role of a trust policy, whose text does not name it."""

PRINCIPAL_ARN: Final = "aws:principalarn"
USER_NAME: Final = "aws:username"
USER_ID: Final = "aws:userid"
_ROLE_ID: Final = "AROASTRANGERSTRANGER0"

_NAME: Final = re.compile(r"[\w+=,.@-]{1,64}")
_CLOCK: Final = ("aws:currenttime", "aws:epochtime")

_ACCOUNTS: Final = ("444455556666", "777788889999", "888877776666")
_NETWORKS: Final = ("198.51.100", "203.0.113", "192.0.2")
_FILLS: Final = ("stranger", "-stranger", "")

_ABSENT: Final = frozenset(
    {
        *SOURCES,
        "aws:sourceowner",
        "aws:calledvia",
        "aws:calledviafirst",
        "aws:calledvialast",
        "aws:principalservicename",
        "aws:principalservicenameslist",
        "aws:ec2instancesourcevpc",
        "aws:ec2instancesourceprivateipv4",
        "aws:vpcsourceip",
        "kms:viaservice",
        "s3:dataaccesspointarn",
        "s3:dataaccesspointaccount",
    }
)
"""Keys, in lower case, that a stranger's request does not have.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html
"""


def admitted(
    item: Item,
    about: tuple[str, str],
    principal: str | None,
    values: Values,
    *,
    always: Iterable[str] = (),
) -> Request | None:
    """Return a request of *principal* that the document allows because of *item*, or None.

    *about* is the action and resource of the request. *values* returns the values that the stranger
    may send for a key; it is called for the keys in the document and for those *always* sent.
    """
    keys = [key.lower() for key in (*always, *sorted(item.named_in_variables))]
    own: dict[str, list[Clause]] = {key: [] for key in keys}
    for clause in item.clauses:
        own.setdefault(clause.name, []).append(clause)
    every = {key: [*conditions] for key, conditions in own.items()}
    for clause in item.subject.clauses:
        if clause.item is not item:
            every.setdefault(clause.name, []).append(clause)
    choices = [
        [value for value in values(key, conditions) if _meets(own.get(key, ()), value)]
        for key, conditions in every.items()
    ]
    engine = authorizer_of(item.document)
    for combination in islice(product(*choices), MOST):
        sent = {key: v for key, v in zip(every, combination, strict=True) if v is not None}
        caller = sent.get(PRINCIPAL_ARN, principal)
        if PRINCIPAL_ARN not in every and caller is not None:
            caller = _called(caller, sent.get(USER_NAME), sent.get(USER_ID))
        context = {every[key][0].key if every[key] else key: sent[key] for key in sent}
        request = Request(*about, caller, context, EXAMPLE_ACCOUNT)
        matched = (match.statement for _, match in engine.matched(request))
        if engine.decide(request).allowed and any(one is item.written for one in matched):
            return request
    return None


def _called(caller: str, user: str | None, user_id: str | None) -> str:
    """Return the ARN of *caller* with the name *user*, or in the session that its id names."""
    named = f"{caller.rpartition('/')[0]}/{user}" if user else caller
    session = str(user_id or "").partition(":")[2]
    account = named.split(":")[4:5]
    return f"arn:aws:sts::{account[0]}:assumed-role/stranger/{session}" if session else named


def _meets(conditions: Iterable[Clause], value: Any) -> bool:
    """Return whether *value* of one key meets *conditions*, unless they have variables."""
    return all(
        clause.needs() or clause.test({} if value is None else {clause.key: value})
        for clause in conditions
    )


@dataclass(frozen=True, slots=True)
class Stranger:
    """A caller without any connection to the account, and the values that its requests may have.

    *who* says which callers it represents; *principal* is None for an anonymous one.
    """

    who: str
    principal: str | None
    values: Values


def strangers(subject: Subject) -> Iterator[Stranger]:
    """Yield strangers: users with and without an organization, and anonymous callers.

    Each calls from a public address or through a VPC endpoint; only resources can be used
    anonymously.
    """
    account = _unnamed(subject, _ACCOUNTS)
    arn = f"arn:aws:iam::{account}:user/stranger"
    everybody, user = "every user of every AWS account", _of_user(account)
    organization = _of_organization("principal")
    callers: list[tuple[str, str | None, dict[str, Any]]] = [
        (everybody, arn, user | organization),
        (f"{everybody} without an organization", arn, user | dict.fromkeys(organization)),
    ]
    if subject.kind == "resource":
        callers.append(("every anonymous caller", None, _ANONYMOUS))
    endpoint = _of_endpoint(account)
    network = _unnamed(subject, _NETWORKS)
    networks: tuple[tuple[str, dict[str, Any]], ...] = (
        ("", {**dict.fromkeys(endpoint), "aws:sourceip": f"{network}.77"}),
        (" through a VPC endpoint", {**endpoint, "aws:sourceip": None}),
    )
    for (by, connection), (who, caller, own) in product(networks, callers):
        sent = _OF_EVERYBODY | own | connection
        yield Stranger(f"{who}{by}", caller, _sending(sent, caller, account))


def values_for_stranger(subject: Subject) -> Values:
    account = _unnamed(subject, _ACCOUNTS)
    own = _OF_EVERYBODY | {"aws:sourceaccount": account, "aws:sourceowner": account}
    own |= _of_organization("source") | {"aws:principalisawsservice": "true"}

    def values(key: str, conditions: Sequence[Clause]) -> Sequence[Any]:
        if key == "aws:sourcearn" or key.startswith("kms:encryptioncontext:"):
            return (*_arns(conditions, account), f"arn:aws:sns:us-east-1:{account}:stranger")
        if key in own:
            return (own[key],)
        if key in _ABSENT or key in _ANONYMOUS or key.startswith("aws:principaltag/"):
            return (None,)
        return meeting(key, conditions)

    return values


_OF_EVERYBODY: Final[dict[str, Any]] = {
    "aws:viaawsservice": "false",
    "aws:resourceaccount": EXAMPLE_ACCOUNT,
    "elasticfilesystem:accessedviamounttarget": "false",
}
_ANONYMOUS: Final[dict[str, Any]] = {
    "aws:principalaccount": "anonymous",
    "aws:principalarn": None,
    "aws:principalorgid": None,
    "aws:principalorgpaths": None,
    "aws:principaltype": "Anonymous",
    "aws:principalisawsservice": None,
    "aws:userid": "anonymous",
    "aws:username": None,
    "kms:calleraccount": None,
}
"""The values that identify an anonymous caller; None means that its requests lack the key.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html
"""


def _of_user(account: str) -> dict[str, Any]:
    return {
        "aws:principalaccount": account,
        "aws:principaltype": "User",
        "aws:principalisawsservice": "false",
        "aws:userid": "AIDASTRANGERSTRANGER0",
        "aws:username": "stranger",
        "kms:calleraccount": account,
    }


def _of_organization(owner: str) -> dict[str, Any]:
    return {
        f"aws:{owner}orgid": "o-stranger00",
        f"aws:{owner}orgpaths": ["o-stranger00/r-abcd/ou-abcd-stranger/"],
    }


def _of_endpoint(account: str) -> dict[str, Any]:
    return {
        "aws:sourcevpc": "vpc-0000000000stranger",
        "aws:sourcevpce": "vpce-0000000000stranger",
        "aws:sourcevpcarn": f"arn:aws:ec2:us-east-1:{account}:vpc/vpc-0000000000stranger",
        "aws:vpceaccount": account,
        **_of_organization("vpce"),
    }


def _sending(own: dict[str, Any], caller: str | None, account: str) -> Values:
    def values(key: str, conditions: Sequence[Clause]) -> Sequence[Any]:
        if key in _ABSENT or (caller is None and key.startswith("aws:principaltag/")):
            return (None,)
        if key == PRINCIPAL_ARN and caller is not None:
            return (caller, *_arns(conditions, account))
        if key == USER_ID and caller is not None:
            sessions = _filled(conditions, (_ROLE_ID, "stranger"))
            return (own[key], *(text for text in sessions if text.startswith(f"{_ROLE_ID}:")))
        if key in own and (key != USER_NAME or caller is None):
            return (own[key],)
        chosen = meeting(key, conditions)
        if key == USER_NAME:
            return [name for name in chosen if name and _NAME.fullmatch(name)]
        if key in _CLOCK:
            today = f"{facts.updated()}T00:00:00Z"
            now = moment(today) or 0
            return [today, *(time for time in chosen if time and (moment(time) or 0) > now)]
        if key in facts.global_keys() and facts.key_type(key) == "ARN":
            return (None, *_arns(conditions, account))
        return chosen

    return values


def _arns(conditions: Iterable[Clause], account: str) -> tuple[str, ...]:
    whole = f"arn:aws:iam::{account}"
    texts = _filled(conditions, (account, "stranger", whole, f"{whole}:"))
    return tuple(text for text in texts if text.split(":")[4:5] == [account])


def _filled(conditions: Iterable[Clause], fills: Sequence[str]) -> Iterator[str]:
    for clause in conditions:
        for value in clause.values:
            yield from filled(value, fills)


def meeting(key: str, conditions: Sequence[Clause]) -> Sequence[Any]:
    """Return a value of *key* for each combination of answers by *conditions*; None is absent."""
    if all(clause.needs() for clause in conditions):
        return ("stranger", None)  # which is the value of every variable
    several = any(clause.operator.qualifier for clause in conditions)
    plain = tuple(
        KeyCondition(clause.condition, clause.test, clause.variables) for clause in conditions
    )
    return values_of(Query((key,), plain, several=several)).values


def filled(pattern: str, fills: Sequence[str] = _FILLS) -> tuple[str, ...]:
    """Return texts that match *pattern*, with its wildcards filled from *fills*."""
    first, *rest = pattern.replace("?", "x").split("*")
    texts = [first]
    for run in rest:
        texts = [text + fill + run for text in texts[:MOST_TEXTS] for fill in fills]
    return tuple(texts)


def example_of(item: Item) -> tuple[str, str] | None:
    """Return an action and a resource that *item*, a statement of a resource's policy, covers."""
    resource = VARIABLE.sub("stranger", (item.written.resource or ("*",))[0])
    resource = filled(resource)[0] if resource != "*" else "*"
    for text in item.written.action or ("*",):
        prefix, colon, name = text.partition(":")
        owner = prefix if colon else resource.split(":")[2] if resource.count(":") > 4 else "s3"
        service = facts.service(owner)
        actions = service.matching(name if colon else "*") if service else ()
        names = [action.full for action in actions if item.compiled.matches_action(action.full)]
        if names:
            return ("s3:GetObject" if "s3:GetObject" in names else names[0]), resource
        if colon and "*" not in text:
            return text, resource
    return None


def _unnamed(subject: Subject, texts: Sequence[str]) -> str:
    """Return the first of *texts* that the documents do not mention."""
    written = repr([item.written for item in subject.items])
    return next((text for text in texts if text not in written), texts[-1])
