"""Who may assume a role or use a resource: strangers are let in, or they are not.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html
"""

from __future__ import annotations

import json
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cml_iam.engine import Request, compile_policies
from cml_iam.facts import services
from cml_iam.lint import lint_text
from cml_iam.lint._ask import authorizer_of
from cml_iam.lint._principals import issuers
from cml_iam.render import DOCUMENTS, render_document
from cml_iam.site import Eks
from tests.render.test_keyless import SITE

POLICIES = Path(__file__).parents[2] / "policies"
GITHUB = "token.actions.githubusercontent.com"
GITLAB = "gitlab.com"
TERRAFORM = "app.terraform.io"
CIRCLE = "oidc.circleci.com/org/7e1f4c3a"
BITBUCKET = "api.bitbucket.org/2.0/workspaces/example/pipelines-config/identity/oidc"
AZURE = "vstoken.dev.azure.com/7e1f4c3a"
CLUSTER = "oidc.eks.us-east-1.amazonaws.com/id/EXAMPLED539D4633E53DE1B71EXAMPLE"
COGNITO = "cognito-identity.amazonaws.com"
GOOGLE = "accounts.google.com"

STRANGE, PROJECT, AUDIENCE = "CML522", "CML523", "CML524"


def rules(*statements: dict[str, Any], kind: str | None = None) -> list[str]:
    """Return the rules that find something, after every witness was asked of the engine again."""
    stated = [{k: v for k, v in statement.items() if v != {}} for statement in statements]
    text = json.dumps({"Version": "2012-10-17", "Statement": stated})
    findings = lint_text(text, kind=kind)
    for step in (step for finding in findings for step in finding.witness):
        assert authorizer_of(text).decide(step.request).outcome == step.outcome == "allowed"
    return [finding.rule for finding in findings]


def web_identity(host: str, conditions: dict[str, dict[str, Any]]) -> dict[str, Any]:
    known = {COGNITO, GOOGLE}
    arn = host if host in known else f"arn:aws:iam::111122223333:oidc-provider/{host}"
    return {
        "Effect": "Allow",
        "Principal": {"Federated": arn},
        "Action": "sts:AssumeRoleWithWebIdentity",
        "Condition": {
            operator: {f"{host}:{claim}": value for claim, value in block.items()}
            for operator, block in conditions.items()
        },
    }


def subject(pattern: Any, **claims: str) -> dict[str, dict[str, Any]]:
    return {"StringEquals": {"aud": "sts.amazonaws.com", **claims}, "StringLike": {"sub": pattern}}


ONLY_AUDIENCE = {"StringEquals": {"aud": "sts.amazonaws.com"}}


@pytest.mark.parametrize(
    ("host", "conditions", "expected"),
    [
        (GITHUB, ONLY_AUDIENCE, [STRANGE]),
        (GITHUB, subject("*"), [STRANGE]),
        (GITHUB, subject("repo:*"), [STRANGE]),
        (GITHUB, subject("repo:example-org*"), [STRANGE]),
        (GITHUB, subject("repo:*/deployment:ref:refs/heads/main"), [STRANGE]),
        (GITHUB, subject("repo:*:ref:refs/heads/main"), [STRANGE]),
        (GITHUB, subject("*:ref:refs/heads/main"), [STRANGE]),
        (GITHUB, subject("repo:?xample-org/deployment:*"), [STRANGE]),
        (GITHUB, subject(["repo:example-org/deployment:*", "repo:*"]), [STRANGE]),
        (GITHUB, {**ONLY_AUDIENCE, "StringNotEquals": {"sub": "repo:a/b:c"}}, [STRANGE]),
        (GITHUB, {"StringEquals": {"aud": "sts.amazonaws.com", "actor": "me"}}, [STRANGE]),
        (GITHUB, subject("repo:example-org/*"), [PROJECT]),
        (GITHUB, subject("repo:example-org/deployment*"), [PROJECT]),
        (
            GITHUB,
            {"StringEquals": {"aud": "sts.amazonaws.com", "repository_owner": "example-org"}},
            [PROJECT],
        ),
        (GITHUB, subject("repo:example-org/deployment:*"), []),
        (GITHUB, subject("repo:example-org/deployment:ref:refs/heads/*"), []),
        (GITHUB, subject(["repo:example-org/a:*", "repo:example-org/b:environment:live"]), []),
        (GITHUB, {"StringLike": {"sub": "repo:example-org/deployment:*"}}, [AUDIENCE]),
        (GITLAB, ONLY_AUDIENCE, [STRANGE]),
        (GITLAB, subject("project_path:*"), [STRANGE]),
        (GITLAB, subject("project_path:example*:ref_type:branch:ref:main"), [STRANGE]),
        (GITLAB, subject("project_path:example/*"), [PROJECT]),
        (GITLAB, subject("project_path:example/app:ref_type:branch:ref:*"), []),
        (TERRAFORM, subject("organization:*"), [STRANGE]),
        (TERRAFORM, subject("organization:example*:project:app:*"), [STRANGE]),
        (TERRAFORM, subject("organization:example:*"), [PROJECT]),
        (TERRAFORM, subject("organization:example:project:app:workspace:w:run_phase:*"), []),
        (CIRCLE, ONLY_AUDIENCE, [STRANGE]),
        (CIRCLE, subject("org/7e1f4c3a/*"), [PROJECT]),
        (CIRCLE, subject("org/7e1f4c3a/project/5d2c/user/*"), []),
        (BITBUCKET, ONLY_AUDIENCE, [STRANGE]),
        (BITBUCKET, subject("{5d2c7e1f}:*"), []),
        (AZURE, ONLY_AUDIENCE, [STRANGE]),
        (AZURE, subject("sc://example/app/connection"), []),
        (CLUSTER, ONLY_AUDIENCE, [STRANGE]),
        (CLUSTER, subject("system:serviceaccount:live:manager"), []),
        ("idp.example.com", ONLY_AUDIENCE, [STRANGE]),
        ("idp.example.com", subject("*"), [STRANGE]),
        ("idp.example.com", subject("team-*"), []),
        (COGNITO, {"ForAnyValue:StringLike": {"amr": "authenticated"}}, [STRANGE]),
        (COGNITO, {"StringLike": {"aud": "*"}}, [STRANGE]),
        (GOOGLE, {"StringLike": {"email": "*"}}, [STRANGE]),
        (GOOGLE, {"StringEquals": {"aud": "66677788899900pro0"}}, []),
    ],
)
def test_a_stranger_s_token_is_asked_of_the_engine(
    host: str, conditions: dict[str, dict[str, Any]], expected: list[str]
) -> None:
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_providers_oidc_secure-by-default.html"""
    assert rules(web_identity(host, conditions)) == expected


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ({"Bool": {"aws:SecureTransport": "true"}}, [STRANGE]),
        ({"StringLike": {"sts:RoleSessionName": "deploy-*"}}, [STRANGE]),
        ({"IpAddress": {"aws:SourceIp": "198.51.100.0/24"}}, []),
        ({"StringEquals": {f"{GITLAB}:sub": "project_path:example/app"}}, []),
    ],
)
def test_what_a_stranger_chooses_freely_keeps_no_token_out(
    conditions: dict[str, Any], expected: list[str]
) -> None:
    statement = web_identity(GITHUB, ONLY_AUDIENCE)
    statement["Condition"] |= {"StringEquals": {f"{GITHUB}:aud": "sts.amazonaws.com"}}
    for operator, block in conditions.items():
        statement["Condition"].setdefault(operator, {}).update(block)

    assert [rule for rule in rules(statement) if rule == STRANGE] == expected


def test_the_action_of_an_account_does_not_fit_a_user_pool() -> None:
    """https://docs.aws.amazon.com/cli/latest/reference/accessanalyzer/validate-policy.html"""
    statement = web_identity(COGNITO, {"StringEquals": {"aud": "us-west-2_EXAMPLE"}})

    assert rules({**statement, "Action": ["sts:AssumeRole", "sts:TagSession"]}) == ["CML214"]


def test_a_deny_beside_it_keeps_the_strangers_out() -> None:
    deny = web_identity(GITHUB, {"StringNotLike": {"sub": "repo:example-org/deployment:*"}})

    found = rules(web_identity(GITHUB, ONLY_AUDIENCE), {**deny, "Effect": "Deny"})

    assert found == []


@pytest.mark.parametrize(
    ("conditions", "is_anyone"),
    [
        ({}, True),
        ({"StringEquals": {"sts:ExternalId": "x"}}, True),
        ({"Bool": {"aws:MultiFactorAuthPresent": "true"}}, True),
        ({"StringNotEquals": {"aws:PrincipalOrgID": "o-exampleorg"}}, True),
        ({"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::*:role/deploy*"}}, True),
        ({"StringEquals": {"aws:PrincipalOrgID": "o-exampleorg"}}, False),
        ({"StringEquals": {"aws:PrincipalAccount": "444455556666"}}, False),
        ({"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::111122223333:role/*"}}, False),
        ({"IpAddress": {"aws:SourceIp": "198.51.100.0/24"}}, False),
        ({"IpAddress": {"aws:SourceIp": "0.0.0.0/0"}}, True),
        ({"StringEqualsIfExists": {"aws:PrincipalOrgID": "o-exampleorg"}}, True),
        ({"ForAllValues:StringEquals": {"aws:PrincipalOrgPaths": "o-exampleorg/r-ab12/"}}, True),
        ({"StringEqualsIfExists": {"aws:PrincipalAccount": "111122223333"}}, False),
        ({"StringEqualsIfExists": {"aws:SourceVpce": "vpce-1a2b3c4d"}}, True),
        ({"IpAddressIfExists": {"aws:SourceIp": "198.51.100.0/24"}}, True),
        (
            {
                "IpAddressIfExists": {"aws:SourceIp": "198.51.100.0/24"},
                "StringEqualsIfExists": {"aws:SourceVpce": "vpce-1a2b3c4d"},
            },
            False,
        ),
    ],
)
@pytest.mark.parametrize("principal", ["*", {"AWS": "*"}, {"AWS": ["111122223333", "*"]}])
def test_a_role_that_anyone_may_assume(
    principal: Any, conditions: dict[str, Any], is_anyone: bool
) -> None:
    trust = {
        "Effect": "Allow",
        "Principal": principal,
        "Action": "sts:AssumeRole",
        "Condition": conditions,
    }

    assert rules(trust) == (["CML521"] if is_anyone else [])


@pytest.mark.parametrize(
    ("conditions", "is_anyone"),
    [
        ({}, True),
        ({"Bool": {"aws:SecureTransport": "true"}}, True),
        ({"StringLike": {"s3:prefix": "public/*"}}, True),
        ({"StringEquals": {"aws:SourceVpce": "vpce-1a2b3c4d"}}, False),
        ({"StringEquals": {"aws:SourceArn": "arn:aws:sns:us-east-1:111122223333:t"}}, False),
        ({"StringLike": {"aws:PrincipalOrgPaths": "o-exampleorg/*"}}, False),
        ({"StringEqualsIfExists": {"aws:PrincipalOrgID": "o-exampleorg"}}, True),
        ({"ForAllValues:StringLike": {"aws:PrincipalOrgPaths": "o-exampleorg/*"}}, True),
        ({"ArnLikeIfExists": {"aws:PrincipalArn": "arn:aws:iam::111122223333:role/*"}}, True),
        # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html#condition-keys-principalaccount
        ({"StringEqualsIfExists": {"aws:PrincipalAccount": "111122223333"}}, False),
        ({"StringEquals": {"aws:PrincipalAccount": "anonymous"}}, True),
    ],
)
def test_a_bucket_that_anyone_may_use(conditions: dict[str, Any], is_anyone: bool) -> None:
    statement = {
        "Effect": "Allow",
        "Principal": "*",
        "Action": "s3:ListBucket",
        "Resource": "arn:aws:s3:::example-bucket",
        "Condition": conditions,
    }

    assert ("CML521" in rules(statement)) is is_anyone


def test_who_anyone_is() -> None:
    about = {"Action": "s3:GetObject", "Resource": "arn:aws:s3:::b/*"}

    def found(condition: dict[str, Any]) -> tuple[str, str | None]:
        statement = {"Effect": "Allow", "Principal": "*", **about, "Condition": condition}
        text = json.dumps({"Version": "2012-10-17", "Statement": statement})
        finding = next(finding for finding in lint_text(text) if finding.rule == "CML521")
        return finding.message, finding.witness[0].request.principal

    user = "arn:aws:iam::444455556666:user/stranger"
    assert found({"StringEqualsIfExists": {"aws:PrincipalOrgID": "o-exampleorg"}}) == (
        "anyone may call `s3:GetObject`: every user of every AWS account without an organization",
        user,
    )
    own = "arn:aws:iam::111122223333:role/*"
    assert found({"ArnLikeIfExists": {"aws:PrincipalArn": own}}) == (
        "anyone may call `s3:GetObject`: every anonymous caller",
        None,
    )


def test_a_bucket_for_everybody_that_a_deny_closes_is_not_open() -> None:
    about = {"Action": "s3:*", "Resource": ["arn:aws:s3:::b", "arn:aws:s3:::b/*"]}
    allow = {"Effect": "Allow", "Principal": "*", **about}
    own = {"StringNotEquals": {"aws:PrincipalOrgID": "o-exampleorg"}}
    deny = {"Effect": "Deny", "Principal": "*", **about, "Condition": own}

    assert rules(allow) == ["CML521"]
    assert rules(allow, deny) == []


@pytest.mark.parametrize(
    ("principal", "expected"),
    [
        ({"AWS": "111122223333"}, []),
        ({"AWS": "arn:aws:iam::111122223333:root"}, []),
        ({"AWS": "arn:aws-us-gov:iam::111122223333:role/path/name"}, []),
        ({"AWS": "arn:aws:sts::111122223333:assumed-role/name/session"}, []),
        ({"AWS": "arn:aws:iam::111122223333:user/*"}, ["CML211"]),
        ({"AWS": "arn:aws:iam::*:root"}, ["CML211"]),
        ({"AWS": "arn:aws:iam::1234:user"}, ["CML211"]),
        ({"AWS": "1234"}, ["CML211"]),
        ({"AWS": "arn:aws:iam::111122223333:group/admins"}, ["CML211"]),
        ({"AWS": "AROAJQABLZS4A3QDU576Q"}, ["CML213"]),
        ({"Service": "ec2"}, ["CML211"]),
        ({"Service": "ec3.amazonaws.com"}, ["CML212"]),
        ({"Service": ["ec2.amazonaws.com", "lambda.amazonaws.com"]}, []),
        ({"Service": ["ec2.amazonaws.com.cn", "ecs-tasks.amazonaws.com"]}, []),
        ({"Service": "logs.eu-central-1.amazonaws.com"}, []),
        ({"Service": "pods.eks.amazonaws.com"}, []),
        ({"Service": "spotfleet.amazonaws.com"}, []),
        ({"Federated": "arn:aws:iam::111122223333:saml/company"}, ["CML211", "CML214"]),
    ],
)
def test_principals_as_they_are_written(principal: Any, expected: list[str]) -> None:
    statement = {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}

    assert rules(statement) == expected


SAML = {"Federated": "arn:aws:iam::111122223333:saml-provider/company"}
TO_AWS = {"StringEquals": {"SAML:aud": "https://signin.aws.amazon.com/saml"}}
ANYWHERE = {"Service": "rolesanywhere.amazonaws.com"}
ACCOUNT = {"AWS": "111122223333"}
TAGGED = {"StringEquals": {"aws:RequestTag/team": "blue"}}
NAMED = {"StringLike": {"sts:SourceIdentity": "user-*"}}


@pytest.mark.parametrize(
    ("principal", "actions", "conditions", "expected"),
    [
        (SAML, ["sts:AssumeRoleWithSAML"], TO_AWS, []),
        (SAML, ["sts:AssumeRoleWithSAML", "sts:TagSession"], TO_AWS, []),
        (SAML, ["sts:AssumeRoleWithSAML"], {}, ["CML524"]),
        (SAML, ["sts:AssumeRoleWithWebIdentity"], TO_AWS, ["CML214"]),
        (SAML, ["sts:AssumeRole"], TO_AWS, ["CML214"]),
        (ACCOUNT, ["sts:AssumeRole"], {}, []),
        (ACCOUNT, ["sts:AssumeRole*"], {}, []),
        (ACCOUNT, ["sts:AssumeRole", "sts:SetContext"], {}, []),
        (ACCOUNT, ["sts:AssumeRoleWithSAML"], {}, ["CML214"]),
        (ACCOUNT, ["sts:AssumeRole", "sts:GetFederationToken"], {}, ["CML214"]),
        (ACCOUNT, ["sts:AssumeRole", "ec2:RunInstances"], {}, ["CML214"]),
        (ACCOUNT, ["sts:AssumeRole"], TAGGED, ["CML214"]),
        (ACCOUNT, ["sts:AssumeRole", "sts:TagSession"], TAGGED, []),
        (ACCOUNT, ["sts:AssumeRole"], NAMED, ["CML214"]),
        (ACCOUNT, ["sts:AssumeRole", "sts:SetSourceIdentity"], NAMED, []),
        (ANYWHERE, ["sts:AssumeRole"], {}, ["CML214"]),
        (ANYWHERE, ["sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"], {}, []),
    ],
)
def test_actions_of_a_trust_policy(
    principal: Any, actions: list[str], conditions: dict[str, Any], expected: list[str]
) -> None:
    """AWS: who assumes a role with which action, and what session tags need.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_temp_request.html
    https://docs.aws.amazon.com/IAM/latest/UserGuide/id_session-tags.html
    https://docs.aws.amazon.com/rolesanywhere/latest/userguide/trust-model.html
    """
    statement = {"Effect": "Allow", "Principal": principal, "Action": actions}

    assert rules({**statement, "Condition": conditions}) == expected


OBJECTS = {"Action": "s3:PutObject", "Resource": "arn:aws:s3:::example-bucket/*"}


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ({}, ["CML526"]),
        ({"StringEquals": {"s3:x-amz-acl": "bucket-owner-full-control"}}, ["CML526"]),
        ({"StringEquals": {"aws:SourceAccount": "111122223333"}}, []),
        ({"ArnLike": {"AWS:SourceArn": "arn:aws:cloudtrail:*:111122223333:trail/*"}}, []),
        ({"StringEquals": {"aws:SourceOrgID": "o-exampleorg"}}, []),
    ],
)
def test_a_service_that_may_act_for_any_account(
    conditions: dict[str, Any], expected: list[str]
) -> None:
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/confused-deputy.html"""
    service = {"Service": "cloudtrail.amazonaws.com"}

    found = rules({"Effect": "Allow", "Principal": service, **OBJECTS, "Condition": conditions})

    assert found == expected


@pytest.mark.parametrize(
    ("service", "expected"), [("ec2", []), ("lambda", []), ("scheduler", ["CML526"])]
)
def test_of_trust_policies_only_services_that_send_a_source_need_one(
    service: str, expected: list[str]
) -> None:
    principal = {"Service": f"{service}.amazonaws.com"}

    found = rules({"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"})

    assert found == expected


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ({"Effect": "Allow", **OBJECTS}, ["CML525"]),
        ({"Effect": "Deny", **OBJECTS}, []),
        ({"Effect": "Allow", "Action": "sts:AssumeRole"}, ["CML525"]),
        ({"Effect": "Deny", "Action": "sts:AssumeRole"}, ["CML525"]),
    ],
)
def test_not_principal(statement: dict[str, Any], expected: list[str]) -> None:
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_notprincipal.html"""
    user = {"AWS": "arn:aws:iam::111122223333:user/a"}

    assert rules({**statement, "NotPrincipal": user}) == expected


CONTROL = {"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": "*"}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, []),
        ({"Principal": {"AWS": "*"}}, []),
        ({"Action": ["s3:PutObject", "sts:AssumeRole", "kms:*"]}, []),
        ({"Effect": "Allow"}, ["CML215"]),
        ({"Principal": {"AWS": "111122223333"}}, ["CML215"]),
        ({"Action": "*"}, ["CML215"]),
        ({"Action": "ec2:RunInstances"}, ["CML215"]),
        ({"Action": None, "NotAction": "s3:GetObject"}, ["CML215"]),
        ({"Resource": None}, ["CML104"]),
        ({"Principal": None}, ["CML104", "CML215"]),
    ],
)
def test_resource_control_policies(change: dict[str, Any], expected: list[str]) -> None:
    """https://docs.aws.amazon.com/organizations/latest/userguide/orgs_manage_policies_rcps_syntax.html"""
    statement = {name: value for name, value in {**CONTROL, **change}.items() if value is not None}

    assert rules(statement, kind="rcp") == expected


@pytest.mark.parametrize("name", [name for name, form in DOCUMENTS.items() if form.kind == "trust"])
def test_nothing_is_found_in_the_trust_policies_that_are_rendered(name: str) -> None:
    """Those of `policy render`, and no kind needs to be given."""
    cluster = Eks("cml", "us-east-1", CLUSTER)
    site = replace(SITE, ecs_region="us-east-1", eks=cluster)

    assert lint_text(render_document(site, name).text) == ()


def test_nothing_is_found_in_the_policy_that_sns_gives_a_new_topic() -> None:
    """https://docs.aws.amazon.com/sns/latest/dg/sns-access-policy-use-cases.html"""
    statement = {
        "Effect": "Allow",
        "Principal": {"AWS": "*"},
        "Action": ["SNS:GetTopicAttributes", "SNS:Subscribe", "SNS:Publish"],
        "Resource": "arn:aws:sns:us-east-1:111122223333:topic",
        "Condition": {"StringEquals": {"AWS:SourceOwner": "111122223333"}},
    }

    assert rules(statement) == []


def test_each_shared_provider_has_a_page_and_a_stranger_whose_token_it_issues() -> None:
    data = tomllib.loads((POLICIES / "oidc-providers.toml").read_text("utf-8"))

    assert len(issuers()) == len(data["provider"])
    for row, issuer in zip(data["provider"], issuers(), strict=True):
        assert row["page"].startswith("https://"), row["host"]
        assert issuer.issues(row["subject"])
        assert issuer.owner_of(row["subject"])


def test_a_key_of_aws_may_say_whose_token_it_is() -> None:
    host = "sts.windows.net/33e01921-4d64-4f8c-a055-5bdaffd5e33d"
    aud = {f"{host}:aud": "api://1462b192-27f7-4cb9-8523-0f4ecb54b47e"}
    named = aud | {"sts:RoleSessionName": "MicrosoftSentinel_example"}
    about = {
        "Principal": {"Federated": f"arn:aws:iam::111122223333:oidc-provider/{host}"},
        "Action": "sts:AssumeRoleWithWebIdentity",
    }

    assert "CML522" in rules({"Effect": "Allow", **about, "Condition": {"StringEquals": aud}})
    assert rules({"Effect": "Allow", **about, "Condition": {"StringEquals": named}}) == []


def test_each_list_of_services_has_a_page_and_names_that_stand_once() -> None:
    data = tomllib.loads((POLICIES / "services.toml").read_text("utf-8"))

    for name, table in data.items():
        pages = table.get("pages", {})
        names = [*table["names"], *pages]
        for page in (table["page"], *pages.values()):
            assert page.startswith("https://docs.aws.amazon.com/"), name
        assert names
        assert len(names) == len(set(names))
    assert set(data["control"]["names"]) | set(data["endpoint"]["names"]) <= services()
    assert not {*data["principal"]["names"], *data["principal"]["pages"]} & services()


@pytest.mark.parametrize(
    ("claims", "expected"),
    [
        ({"StringEquals": {"repository": "example-org/deployment"}}, []),
        ({"StringEquals": {"repository_id": "12345"}}, []),
        ({"StringLike": {"repository": "example-org/*"}}, [PROJECT]),
        ({"StringEquals": {"repository_owner": "example-org"}}, [PROJECT]),
    ],
)
def test_another_claim_may_name_the_repository(
    claims: dict[str, dict[str, str]], expected: list[str]
) -> None:
    claims = {operator: dict(block) for operator, block in claims.items()}
    claims.setdefault("StringEquals", {})["aud"] = "sts.amazonaws.com"

    assert rules(web_identity(GITHUB, claims)) == expected


def test_the_arn_of_a_provider_has_no_scheme() -> None:
    assert "CML211" in rules(web_identity(f"https://{GITHUB}", subject("repo:a/b:ref:x")))


def test_a_resource_that_the_reference_lists_without_an_account_is_not_called_dead() -> None:
    statement = {
        "Effect": "Allow",
        "Action": "ec2:CopySnapshot",
        "Resource": "arn:aws:ec2:us-east-1:111122223333:snapshot/snap-0abc",
    }
    text = json.dumps({"Version": "2012-10-17", "Statement": statement})

    [finding] = lint_text(text)

    assert finding.rule == "CML303"
    assert "without an account" in finding.message
    assert "nothing" not in finding.message


POOL = {"StringEquals": {"aud": "us-east-1:12345678-1234-1234-1234-123456790abc"}}


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        (POOL, ["CML528"]),
        ({**POOL, "ForAnyValue:StringLike": {"amr": "authenticated"}}, []),
        ({**POOL, "ForAnyValue:StringLike": {"amr": "unauthenticated"}}, []),
        ({"StringEquals": {**POOL["StringEquals"], "sub": "us-east-1:1a2b3c4d"}}, []),
    ],
)
def test_a_guest_of_an_identity_pool_is_told_apart_by_amr(
    conditions: dict[str, dict[str, Any]], expected: list[str]
) -> None:
    """https://docs.aws.amazon.com/cognito/latest/developerguide/role-trust-and-permissions.html"""
    assert rules(web_identity(COGNITO, conditions)) == expected


def test_a_deny_of_guests_beside_it_keeps_them_out() -> None:
    deny = web_identity(COGNITO, {"ForAnyValue:StringEquals": {"amr": "unauthenticated"}})

    assert rules(web_identity(COGNITO, POOL), {**deny, "Effect": "Deny"}) == []


OF_LAMBDA = "arn:aws:lambda:us-east-1"
OF_GITLAB = {f"{GITLAB}:sub": "project_path:a/b:ref_type:branch:ref:main", f"{GITLAB}:aud": "x"}


@pytest.mark.parametrize(
    ("hosts", "conditions", "expected"),
    [
        ([GITHUB], {"StringEquals": OF_GITLAB}, ["CML321", "CML321"]),
        ([GITHUB], {"StringEqualsIfExists": OF_GITLAB}, [STRANGE, "CML321", "CML321"]),
        (
            [GITHUB],
            {"StringEquals": {f"https://{GITHUB}:sub": "repo:a/b:ref:x", f"{GITHUB}:aud": "x"}},
            ["CML321"],
        ),
        (
            [f"https://{GITHUB}"],
            {"StringEquals": {f"{GITHUB}:sub": "repo:a/b:ref:x", f"{GITHUB}:aud": "x"}},
            ["CML211"],
        ),
        ([GITHUB], {"StringEquals": {"SAML:aud": "x"}}, ["CML321"]),
        (
            [GITHUB, GITLAB],
            {"StringEquals": OF_GITLAB | {f"{GITHUB}:sub": "repo:a/b:ref:x"}},
            ["CML321", "CML321", "CML321"],
        ),
    ],
)
def test_a_token_has_only_the_keys_of_its_own_provider(
    hosts: list[str], conditions: dict[str, Any], expected: list[str]
) -> None:
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_iam-condition-keys.html"""
    statement = web_identity(GITHUB, {})
    arns = [f"arn:aws:iam::111122223333:oidc-provider/{host}" for host in hosts]

    found = rules({**statement, "Principal": {"Federated": arns}, "Condition": conditions})

    assert found == expected


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ({"ForAllValues:StringLike": {"sub": "repo:a/b:*"}}, ["CML506"]),
        ({"ForAllValues:StringLike": {"sub": "repo:a/b:*"}, "Null": {"sub": "false"}}, []),
        ({"ForAllValues:StringLike": {"sub": ["repo:a/b:*"], "actor": "me"}}, ["CML506"] * 2),
        ({"ForAnyValue:StringLike": {"sub": "repo:a/b:*"}}, []),
    ],
)
def test_a_claim_has_one_value_and_may_be_absent(
    conditions: dict[str, dict[str, Any]], expected: list[str]
) -> None:
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-single-vs-multi-valued-context-keys.html"""
    assert rules(web_identity(GITHUB, {**ONLY_AUDIENCE, **conditions})) == expected


@pytest.mark.parametrize(
    ("conditions", "is_anyone"),
    [
        ({"NumericLessThan": {"aws:MultiFactorAuthAge": "3600"}}, True),
        ({"DateGreaterThan": {"aws:CurrentTime": "2024-01-01T00:00:00Z"}}, True),
        ({"DateLessThan": {"aws:CurrentTime": "2024-01-01T00:00:00Z"}}, False),
        ({"StringLike": {"aws:PrincipalTag/team": "?*"}}, True),
        ({"StringLike": {"aws:username": "admin-*"}}, True),
        (
            {
                "StringEquals": {"sts:ExternalId": "x", "aws:PrincipalTag/team": "a"},
                "NumericLessThan": {"aws:MultiFactorAuthAge": "3600"},
                "Bool": {"aws:MultiFactorAuthPresent": "true"},
            },
            True,
        ),
        ({"ArnLike": {"lambda:SourceFunctionArn": f"{OF_LAMBDA}:111122223333:*"}}, False),
        ({"ArnLike": {"lambda:SourceFunctionArn": f"{OF_LAMBDA}:*:function:f"}}, True),
    ],
)
def test_a_stranger_chooses_what_it_can(conditions: dict[str, Any], is_anyone: bool) -> None:
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html"""
    trust = {"Effect": "Allow", "Principal": "*", "Action": "sts:AssumeRole"}

    assert ("CML521" in rules({**trust, "Condition": conditions})) is is_anyone


def test_a_stranger_has_what_a_deny_demands() -> None:
    trust = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
    other = {"StringNotEquals": {"sts:ExternalId": "x"}}

    assert rules(trust, {**trust, "Effect": "Deny", "Condition": other}) == ["CML521"]


READ = {"Effect": "Allow", "Action": "s3:GetObject"}
STOP = {"Effect": "Allow", "Action": "ec2:StopInstances"}


@pytest.mark.parametrize(
    "name",
    [
        *("BUCKET_NAME", "<bucket>", "{{bucket}}", "YOUR_BUCKET", "your-bucket-name", "REPLACE_ME"),
        *("BUCKET-NAME", "CHANGEME", "<YOUR BUCKET>"),
    ],
)
def test_a_placeholder_names_nothing(name: str) -> None:
    source = {"Condition": {"ArnLike": {"aws:SourceArn": f"arn:aws:s3:::{name}"}}}

    assert rules({**READ, "Resource": f"arn:aws:s3:::{name}/*"}) == ["CML206"]
    assert "CML206" in rules({**READ, "Resource": "arn:aws:s3:::example/*", **source})
    assert "CML211" in rules(
        {
            "Effect": "Allow",
            "Principal": {"AWS": f"arn:aws:iam::111122223333:role/{name}"},
            "Action": "sts:AssumeRole",
        }
    )


@pytest.mark.parametrize(
    "text",
    [
        "arn:aws:s3:::amzn-s3-demo-bucket/*",
        "arn:aws:s3:::example-bucket-name/*",
        "arn:aws:s3:::changes-metadata/${aws:username}/*",
        "arn:aws:s3:::example/your-files/*",
        "arn:aws:s3:::example/APP_KEY_ID/*",
    ],
)
def test_a_name_is_no_placeholder(text: str) -> None:
    assert rules({**READ, "Resource": text}) == []


def test_a_parameter_may_be_called_like_a_placeholder() -> None:
    parameter = "arn:aws:ssm:us-east-1:111122223333:parameter/live/KEY_ID"

    found = rules({"Effect": "Allow", "Action": "ssm:GetParameter", "Resource": parameter})

    assert found == []


@pytest.mark.parametrize(
    ("resource", "condition", "expected"),
    [
        ("arn:aws:ec2:US-EAST-1:111122223333:instance/*", {}, ["CML208"]),
        ("*", {"StringEquals": {"aws:RequestedRegion": "US-EAST-1"}}, ["CML208"]),
        ("*", {"StringEqualsIgnoreCase": {"aws:RequestedRegion": "US-EAST-1"}}, []),
        ("arn:aws:ec2:::instance/*", {}, ["CML209"]),
    ],
)
def test_a_fault_of_an_arn_is_one_finding(
    resource: str, condition: dict[str, Any], expected: list[str]
) -> None:
    statement = {**STOP, "Resource": resource, **({"Condition": condition} if condition else {})}
    text = json.dumps({"Version": "2012-10-17", "Statement": statement})

    found = [finding for finding in lint_text(text) if finding.rule != "CML601"]

    assert [finding.rule for finding in found] == expected
    if expected == ["CML208"]:
        assert found[0].remedy == "did you mean `us-east-1`?"


@pytest.mark.parametrize("name", ["${ aws:username }", "${aws:username }", "${ aws:username}"])
def test_a_variable_with_a_blank_is_none(name: str) -> None:
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html"""
    statement = {**READ, "Resource": f"arn:aws:s3:::example/{name}/*"}
    document = {"Version": "2012-10-17", "Statement": statement}
    alice = Request("s3:GetObject", "arn:aws:s3:::example/alice/k", None, {"aws:username": "alice"})

    assert rules(statement) == ["CML108"]
    assert not compile_policies([document]).decide(alice).allowed


@pytest.mark.parametrize(
    "statement",
    [
        {"Effect": "Allow", "Principal": ACCOUNT, "Action": "sqs:SendMessage"},
        {"Effect": "Allow", "Principal": ACCOUNT, "NotAction": "s3:*"},
        {"Effect": "Deny", "Principal": ACCOUNT, "Action": "*"},
    ],
)
def test_a_policy_whose_kind_is_not_recognized_is_never_clean(statement: dict[str, Any]) -> None:
    assert rules(statement) == ["CML214"]


QUEUE = "arn:aws:sqs:us-east-1:111122223333:queue"
TOPICS = {"ArnLike": {"aws:SourceArn": "arn:aws:sns:*:*:*"}}
OWN_TOPIC = {"ArnLike": {"aws:SourceArn": "arn:aws:sns:*:111122223333:*"}}


@pytest.mark.parametrize(
    ("principal", "condition", "expected"),
    [
        ({"Service": "sns.amazonaws.com"}, TOPICS, ["CML526"]),
        ({"Service": "sns.amazonaws.com"}, OWN_TOPIC, []),
        (
            {"Service": "sns.amazonaws.com"},
            {"StringNotEquals": {"aws:SourceAccount": "444455556666"}},
            ["CML526"],
        ),
        ("*", TOPICS, ["CML521"]),
        ("*", OWN_TOPIC, []),
    ],
)
def test_a_service_may_act_for_a_stranger(
    principal: Any, condition: dict[str, Any], expected: list[str]
) -> None:
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/confused-deputy.html"""
    about = {"Action": "sqs:SendMessage", "Resource": QUEUE, "Condition": condition}

    assert rules({"Effect": "Allow", "Principal": principal, **about}) == expected


@pytest.mark.parametrize(
    "change",
    [
        {"NotAction": "s3:DeleteBucket"},
        {"Resource": "arn:aws:s3:::example/${aws:PrincipalTag/team}/*"},
        {"Condition": {"StringEquals": {"s3:ExistingObjectTag/owner": "${aws:username}"}}},
        {"Condition": {"StringLike": {"aws:PrincipalArn": "*:role/admin"}}},
        {"Condition": {"StringLike": {"aws:userid": "*:admin"}}},
    ],
)
def test_what_a_stranger_can_name_itself_keeps_none_out(change: dict[str, Any]) -> None:
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html"""
    statement = {"Principal": "*", "Resource": "arn:aws:s3:::example/*", **READ, **change}
    if "NotAction" in change:
        del statement["Action"]

    assert "CML521" in rules(statement)


def test_a_bucket_may_leave_access_control_to_its_access_points() -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-points-policies.html"""
    own = {"StringEquals": {"s3:DataAccessPointAccount": "111122223333"}}
    about = {"Resource": "arn:aws:s3:::example/*", "Condition": own}

    assert rules({**READ, "Principal": {"AWS": "*"}, **about}) == []
