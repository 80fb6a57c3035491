"""What AWS's simulator is told where service control policies take part, which nobody can read."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Literal

import pytest

from cml_iam.aws.port import Identity
from cml_iam.check.verify import Verification, verify_live, verify_offline
from cml_iam.engine import (
    AttachedPolicy,
    PrincipalPolicies,
    Shape,
    compile_policies,
    simulate_principal,
)
from cml_iam.errors import DeniedError
from cml_iam.expectations import Judgement, derive_expectations
from cml_iam.policy import parse_policy
from cml_iam.render import Profile, render_document, render_policy
from cml_iam.site import Restrictions, Site
from tests.conftest import RESTRICTED

SITE = Site(account="111122223333", restrict=RESTRICTED)
IMDS = Site(account="111122223333", restrict=Restrictions(imdsv2=True))
TYPES = Site(account="111122223333", restrict=Restrictions(instance_types=("c5.*",)))
BASE = render_policy(None, "base").text
INSTANCE = "arn:aws:ec2:*:*:instance/*"
FULL = {"Effect": "Allow", "Action": "*", "Resource": "*"}


def policy(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


def deny_launch(condition: dict[str, Any]) -> dict[str, Any]:
    return {
        "Effect": "Deny",
        "Action": "ec2:RunInstances",
        "Resource": INSTANCE,
        "Condition": condition,
    }


class Account:
    """The port to an account whose simulator is our engine; *scps* apply, None in no organization.

    https://docs.aws.amazon.com/IAM/latest/APIReference/API_SimulatePrincipalPolicy.html
    """

    region: str | None = "us-east-1"

    def __init__(
        self,
        held: Sequence[str],
        scps: Sequence[dict[str, Any]] | None,
        shape: Shape = "new",
    ) -> None:
        self.principal = PrincipalPolicies(
            SITE.principal_arn,
            tuple(AttachedPolicy(f"p{n}", text) for n, text in enumerate(held)),
            organization=None if scps is None else ((policy(FULL, *scps),),),
        )
        self.shape = shape
        self.asked: list[dict[str, Any]] = []

    def call(
        self,
        service: str,
        operation: str,
        *,
        region: str | None = None,
        once: bool = False,
        **parameters: Any,
    ) -> dict[str, Any]:
        raise DeniedError(f"{service}:{operation} is refused")

    def pages(
        self,
        service: str,
        operation: str,
        key: str,
        *,
        region: str | None = None,
        **parameters: Any,
    ) -> Iterator[Any]:
        if operation != "simulate_principal_policy":
            raise DeniedError(f"{service}:{operation} is refused")
        self.asked.append(parameters)
        marker: dict[str, str] = {}
        while True:
            answer = simulate_principal(parameters | marker, self.principal, shape=self.shape)
            yield from answer[key]
            if not answer["IsTruncated"]:
                return
            marker = {"Marker": answer["Marker"]}

    def identity(self) -> Identity:
        raise DeniedError("sts:GetCallerIdentity is refused")


def verified(
    site: Site,
    scps: Sequence[dict[str, Any]] | None,
    *held: str,
    shape: Shape = "new",
) -> Verification:
    held = held or (BASE,)
    account = Account(held, scps, shape)
    known = [parse_policy(text) for text in held]
    return verify_live(account, site.principal_arn, derive_expectations(site), known)


def launches(done: Verification, named: str = "") -> list[Judgement]:
    return [
        judgement
        for judgement in done.judgements
        if judgement.expectation.permission == "ec2:RunInstances"
        and named in judgement.expectation.id
    ]


def outcomes(done: Verification) -> list[tuple[str, str | None]]:
    return [(judgement.expectation.id, judgement.answer) for judgement in done.judgements]


UNLESS_REQUIRED = deny_launch({"StringNotEquals": {"ec2:MetadataHttpTokens": "required"}})
IF_REQUIRED = deny_launch({"StringEquals": {"ec2:MetadataHttpTokens": "required"}})


def test_no_call_is_refused_for_want_of_a_key_that_it_would_have() -> None:
    """The policy of the principal mentions no key at all; the launch says that it uses IMDSv2."""
    usual = [
        launch
        for launch in launches(verified(IMDS, [UNLESS_REQUIRED]))
        if launch.expectation.situation == "as intended"
    ]

    assert {each.answer for each in usual} == {"allowed"}


def test_what_a_scp_restricts_is_restricted() -> None:
    """Without the word on IMDSv2, too: the key is then not in the call."""
    refused = launches(verified(IMDS, [UNLESS_REQUIRED]), "IMDSv2")

    assert [each.verdict for each in refused] == ["holds"] * len(refused)
    assert len(refused) >= 2
    assert {each.statements for each in refused} == {("a service control policy",)}


def test_no_call_passes_for_want_of_a_key_that_it_would_have() -> None:
    usual = [
        launch
        for launch in launches(verified(IMDS, [IF_REQUIRED]))
        if launch.expectation.situation == "as intended"
    ]

    assert {each.verdict for each in usual} == {"fails"}


def test_no_refusal_passes_for_want_of_a_key_that_the_call_would_have() -> None:
    """The other type must be refused, but the service control policy admits it."""
    every = deny_launch({"StringNotLike": {"ec2:InstanceType": ["*.*"]}})

    other = [
        launch
        for launch in launches(verified(TYPES, [every]))
        if launch.expectation.situation == "other type"
    ]

    assert other
    assert {each.answer for each in other} == {"allowed"}
    assert {each.verdict for each in other} == {"fails"}


def unless(kind: str, key: str, value: str, action: str = "ec2:RunInstances") -> dict[str, Any]:
    return {
        "Effect": "Deny",
        "Action": action,
        "Resource": f"arn:aws:ec2:*:*:{kind}/*",
        "Condition": {"StringNotLike": {key: value}},
    }


@pytest.mark.parametrize(
    "scps",
    [
        pytest.param([unless("instance", "aws:RequestTag/Name", "*")], id="a tag"),
        pytest.param([unless("instance", "ec2:InstanceType", "c5.*")], id="types"),
        pytest.param([unless("image", "ec2:Owner", SITE.account)], id="an owner"),
        pytest.param([unless("volume", "ec2:VolumeType", "gp3")], id="a type of volume"),
        pytest.param([unless("subnet", "ec2:Vpc", "*:vpc/vpc-9")], id="a network"),
        pytest.param(
            [unless("*", "ec2:CreateAction", "RunInstances", "ec2:CreateTags")], id="a tagging"
        ),
        pytest.param([unless("*", "aws:SourceIp", "198.51.100.*", "*")], id="an address"),
        pytest.param(json.loads(render_document(SITE, "scp").text)["Statement"], id="the site's"),
    ],
)
@pytest.mark.parametrize("profile", ["base", "hardened"])
def test_every_call_gets_the_answer_that_all_its_keys_give(
    profile: Profile, scps: list[dict[str, Any]]
) -> None:
    """Which call has which key: https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2.html"""
    held = render_policy(SITE, profile).text
    live = compile_policies([held], scps=[[policy(FULL, *scps)]])

    done = verified(SITE, scps, held)

    assert outcomes(done) == [
        (
            expectation.id,
            "allowed"
            if all(live.decide(asked).allowed for asked in expectation.requests)
            else "refused",
        )
        for expectation in derive_expectations(SITE)
    ]


@pytest.mark.parametrize("shape", ["old", "new"])
def test_an_organization_that_allows_everything_changes_no_answer(
    shape: Literal["old", "new"],
) -> None:
    hardened = render_policy(SITE, "hardened").text
    alone = verified(SITE, None, hardened, shape=shape)

    assert outcomes(verified(SITE, [], hardened, shape=shape)) == outcomes(alone)
    assert alone.failed == alone.unchecked == ()


@pytest.mark.parametrize(
    ("scps", "calls"), [(None, 21), ([], 65)], ids=["outside an organization", "in one"]
)
def test_the_calls_for_a_site_in_one_region(scps: list[dict[str, Any]] | None, calls: int) -> None:
    """Within an organization one call shows it: docs/decisions/0004 has these numbers, too."""
    site = replace(SITE, restrict=replace(RESTRICTED, regions=("us-east-1",)))

    assert verified(site, scps, render_policy(site, "hardened").text).calls == calls


def test_in_an_organization_one_call_tells_that_every_key_is_needed() -> None:
    """One call that shows it, and then as many as where no policy can be read."""
    hardened = render_policy(SITE, "hardened").text
    unread = Account([hardened], None)
    verify_live(unread, SITE.principal_arn, derive_expectations(SITE))

    assert verified(SITE, [], hardened).calls == len(unread.asked) + 1


def test_where_no_policy_can_be_read_nothing_is_asked_twice() -> None:
    hardened = render_policy(SITE, "hardened").text
    alone, member = Account([hardened], None), Account([hardened], [])
    for account in (alone, member):
        verify_live(account, SITE.principal_arn, derive_expectations(SITE))

    assert member.asked == alone.asked


@pytest.mark.parametrize("scps", [None, []])
@pytest.mark.parametrize("shape", ["old", "new"])
@pytest.mark.parametrize(
    "statement",
    [
        pytest.param(
            FULL | {"Condition": {"StringEquals": {"aws:SourceVpce": "vpce-1"}}},
            id="allowed from one endpoint",
        ),
        pytest.param(
            {
                **FULL,
                "Effect": "Deny",
                "Condition": {"StringNotEquals": {"aws:SourceVpce": "vpce-1"}},
            },
            id="denied but from one endpoint",
        ),
    ],
)
def test_what_a_key_decides_that_no_expectation_knows_could_not_be_checked(
    statement: dict[str, Any], shape: Shape, scps: list[dict[str, Any]] | None
) -> None:
    held = [policy(statement)]
    if statement["Effect"] == "Deny":
        held.append(BASE)

    done = verified(IMDS, scps, *held, shape=shape)

    assert {judgement.verdict for judgement in done.judgements} == {"unchecked"}
    assert {each.hint for each in done.unchecked} == {
        "AWS needs the condition key aws:SourceVpce, which this expectation does not have"
    }


def test_a_key_of_statements_about_other_actions_decides_nothing() -> None:
    """MissingContextValues names the keys of all statements, whatever their actions.

    https://github.com/boto/boto3/issues/3111
    """
    other = policy(
        {
            "Effect": "Allow",
            "Action": "dax:GetItem",
            "Resource": "*",
            "Condition": {"StringEquals": {"aws:SourceVpce": "vpce-1"}},
        }
    )

    done = verified(SITE, [], render_policy(SITE, "hardened").text, other)

    assert done.failed == ()
    assert done.unchecked == ()


def test_where_no_policy_can_be_read_a_missing_key_may_decide_anything() -> None:
    other = policy(
        {
            "Effect": "Allow",
            "Action": "dax:GetItem",
            "Resource": "*",
            "Condition": {"StringEquals": {"aws:SourceVpce": "vpce-1"}},
        }
    )

    done = verify_live(Account([BASE, other], None), SITE.principal_arn, derive_expectations(SITE))

    assert {judgement.verdict for judgement in done.judgements} == {"unchecked"}


@pytest.mark.parametrize(
    "condition",
    [
        {"StringEquals": {"aws:RequestTag/CostCenter": "1234"}},
        {"BoolIfExists": {"aws:MultiFactorAuthPresent": "false"}},
        {"Null": {"aws:TokenIssueTime": "false"}},
    ],
)
def test_a_key_that_the_call_is_known_to_lack_is_no_doubt(condition: dict[str, Any]) -> None:
    """The tags of a request are all known; an access key of a user has no session's keys."""
    denied = policy({**FULL, "Effect": "Deny", "Condition": condition})
    site = Site(account="111122223333")

    done = verified(site, None, BASE, denied)

    offline = verify_offline(derive_expectations(site), [parse_policy(BASE), parse_policy(denied)])
    assert outcomes(done) == outcomes(offline)
    assert done.unchecked == ()


@pytest.mark.parametrize(
    "restrict",
    [
        Restrictions(),
        RESTRICTED,
        Restrictions(
            imdsv2=True,
            encrypted_volumes=True,
            on_demand_only=True,
            mfa_to_terminate=True,
            source_ips=("203.0.113.0/24",),
            subnets=("subnet-0a1b2c3d4e5f60009",),
            security_groups=("sg-0a1b2c3d4e5f60009",),
        ),
    ],
    ids=["nothing", "the four", "the others"],
)
@pytest.mark.parametrize("scps", [None, []], ids=["alone", "member"])
def test_the_policy_of_a_site_leaves_no_doubt(
    restrict: Restrictions, scps: list[dict[str, Any]] | None
) -> None:
    site = Site(account="111122223333", restrict=restrict)

    done = verified(site, scps, render_policy(site, "hardened").text)

    assert done.failed == ()
    assert done.unchecked == ()
