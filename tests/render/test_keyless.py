"""Who may take the role without a key, outside AWS: the engine decides for right and wrong ones.

https://docs.aws.amazon.com/rolesanywhere/latest/userguide/trust-model.html
https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_create_for-idp_oidc.html
"""

from __future__ import annotations

from typing import Any

import pytest

from cml_iam.engine import Request, compile_policies
from cml_iam.errors import InputError
from cml_iam.lint import lint_text
from cml_iam.render import render_document
from cml_iam.site import Oidc, RolesAnywhere, Site, parse_site

ACCOUNT = "111122223333"
ANCHOR = f"arn:aws:rolesanywhere:us-east-1:{ACCOUNT}:trust-anchor/"
MINE, OTHER = "12345678-1234-1234-1234-123456789012", "87654321-4321-4321-4321-210987654321"
GITHUB = "token.actions.githubusercontent.com"
SITE = Site(
    account=ACCOUNT,
    user=None,
    role="cml-manager",
    roles_anywhere=RolesAnywhere("cml-manager.example.com", "Example CA", ANCHOR + MINE),
    oidc=Oidc(GITHUB, "repo:example/cml:ref:refs/heads/main"),
)
ROLE = f"arn:aws:iam::{ACCOUNT}:role/cml-manager"
CERTIFICATE = {
    "aws:SourceArn": ANCHOR + MINE,
    "aws:PrincipalTag/x509Subject/CN": "cml-manager.example.com",
    "aws:PrincipalTag/x509Issuer/CN": "Example CA",
}
TOKEN = {
    f"{GITHUB}:sub": "repo:example/cml:ref:refs/heads/main",
    f"{GITHUB}:aud": "sts.amazonaws.com",
}
SERVICE = "rolesanywhere.amazonaws.com"
PROVIDER = f"arn:aws:iam::{ACCOUNT}:oidc-provider/{GITHUB}"

WRONG_CERTIFICATES: dict[str, tuple[str, dict[str, Any]]] = {
    "another trust anchor": (SERVICE, {"aws:SourceArn": ANCHOR + OTHER}),
    "a trust anchor of another account": (
        SERVICE,
        {"aws:SourceArn": (ANCHOR + MINE).replace(ACCOUNT, "999988887777")},
    ),
    "a trust anchor in another region": (
        SERVICE,
        {"aws:SourceArn": (ANCHOR + MINE).replace("us-east-1", "eu-west-1")},
    ),
    "no trust anchor": (SERVICE, {"aws:SourceArn": None}),
    "another subject": (SERVICE, {"aws:PrincipalTag/x509Subject/CN": "other.example.com"}),
    "a subject that begins alike": (
        SERVICE,
        {"aws:PrincipalTag/x509Subject/CN": "cml-manager.example.com.evil.example"},
    ),
    "a subject in another case": (
        SERVICE,
        {"aws:PrincipalTag/x509Subject/CN": "CML-Manager.example.com"},
    ),
    "no subject": (SERVICE, {"aws:PrincipalTag/x509Subject/CN": None}),
    "another issuer": (SERVICE, {"aws:PrincipalTag/x509Issuer/CN": "Example CA 2"}),
    "no issuer": (SERVICE, {"aws:PrincipalTag/x509Issuer/CN": None}),
    "another service": ("ec2.amazonaws.com", {}),
}
WRONG_TOKENS: dict[str, tuple[str, dict[str, Any]]] = {
    "another branch": (PROVIDER, {f"{GITHUB}:sub": "repo:example/cml:ref:refs/heads/other"}),
    "another repository": (PROVIDER, {f"{GITHUB}:sub": "repo:example/x:ref:refs/heads/main"}),
    "another owner": (PROVIDER, {f"{GITHUB}:sub": "repo:evil/cml:ref:refs/heads/main"}),
    "a pull request": (PROVIDER, {f"{GITHUB}:sub": "repo:example/cml:pull_request"}),
    "a subject in another case": (
        PROVIDER,
        {f"{GITHUB}:sub": "repo:Example/cml:ref:refs/heads/main"},
    ),
    "no subject": (PROVIDER, {f"{GITHUB}:sub": None}),
    "another audience": (PROVIDER, {f"{GITHUB}:aud": "https://github.com/example"}),
    "no audience": (PROVIDER, {f"{GITHUB}:aud": None}),
    "another provider": (PROVIDER.replace(GITHUB, "gitlab.com"), {}),
    "the provider of another account": (PROVIDER.replace(ACCOUNT, "999988887777"), {}),
}


def _may_assume(document: str, action: str, caller: str, context: dict[str, Any]) -> bool:
    trust = render_document(SITE, document).document
    present = {key: value for key, value in context.items() if value is not None}
    return compile_policies(resource=trust).decide(Request(action, ROLE, caller, present)).allowed


def test_the_certificate_may_take_the_role() -> None:
    for action in ("sts:AssumeRole", "sts:SetSourceIdentity", "sts:TagSession"):
        assert _may_assume("trust-roles-anywhere", action, SERVICE, CERTIFICATE)


@pytest.mark.parametrize("name", WRONG_CERTIFICATES)
def test_no_other_certificate_may(name: str) -> None:
    caller, change = WRONG_CERTIFICATES[name]

    assert not _may_assume(
        "trust-roles-anywhere", "sts:AssumeRole", caller, {**CERTIFICATE, **change}
    )


def test_the_token_may_take_the_role() -> None:
    assert _may_assume("trust-oidc", "sts:AssumeRoleWithWebIdentity", PROVIDER, TOKEN)


@pytest.mark.parametrize("name", WRONG_TOKENS)
def test_no_other_token_may(name: str) -> None:
    caller, change = WRONG_TOKENS[name]

    assert not _may_assume(
        "trust-oidc", "sts:AssumeRoleWithWebIdentity", caller, {**TOKEN, **change}
    )


@pytest.mark.parametrize("document", ["trust-oidc", "trust-roles-anywhere"])
def test_lint_finds_nothing_in_them(document: str) -> None:
    findings = lint_text(render_document(SITE, document).text, kind="trust")

    assert [(finding.rule, finding.message) for finding in findings] == []


@pytest.mark.parametrize(
    ("document", "site", "word"),
    [
        ("trust-oidc", Site(account=ACCOUNT), "[oidc]"),
        ("trust-roles-anywhere", Site(account=ACCOUNT), "[roles_anywhere]"),
        (
            "trust-roles-anywhere",
            Site(account=ACCOUNT, roles_anywhere=RolesAnywhere("a", "b")),
            "trust_anchor",
        ),
    ],
)
def test_what_the_site_file_lacks_is_named(document: str, site: Site, word: str) -> None:
    with pytest.raises(InputError) as refused:
        render_document(site, document)

    assert word in refused.value.message + (refused.value.remedy or "")


def test_the_site_file_has_them() -> None:
    site = parse_site(
        f'[account]\nid = "{ACCOUNT}"\n[principal]\nrole = "cml-manager"\n'
        '[roles_anywhere]\nsubject = "cml-manager.example.com"\nissuer = "Example CA"\n'
        f'trust_anchor = "{ANCHOR + MINE}"\n'
        f'[oidc]\nprovider = "{GITHUB}"\nsubject = "repo:example/cml:ref:refs/heads/main"\n'
    )

    assert (site.roles_anywhere, site.oidc) == (SITE.roles_anywhere, SITE.oidc)


@pytest.mark.parametrize("subject", ["repo:example/*", "repo:example/?", "${aws:username}"])
def test_a_subject_that_fits_strangers_is_refused(subject: str) -> None:
    with pytest.raises(InputError):
        parse_site(
            f'[account]\nid = "{ACCOUNT}"\n[oidc]\nprovider = "{GITHUB}"\nsubject = "{subject}"\n'
        )
