"""An account as the checks see it: each fact is read once, when a check first needs it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from cml_iam.audit import Account, Spot
from cml_iam.aws import Counted
from cml_iam.check._answer import Answer, trimmed
from cml_iam.check._check import answers
from cml_iam.check._excerpts import with_excerpts
from cml_iam.check._expected import decided_here
from cml_iam.check._list import AUDIT_ACCOUNT
from cml_iam.check._principal import inputs_of, text_of, texts_of
from cml_iam.check.scene import AccountScene, Live
from cml_iam.errors import NotFoundError

if TYPE_CHECKING:
    from cml_iam.aws.port import Aws
    from cml_iam.check._check import Check


def audit_account(aws: Aws, asked: Live, name: str | None = None) -> tuple[Account, Answer]:
    """Audit the account of *aws*; only reads, and records how many calls it took.

    Raises AwsError if AWS does not answer even the question of identity.
    """
    counted = Counted(aws)
    manager = Counted(asked.manager) if asked.manager else None
    scene = AccountScene(counted, replace(asked, manager=manager))
    checks = [
        each
        for each in AUDIT_ACCOUNT
        if each.id not in asked.skip and (not each.optional or each.id in asked.also)
    ]
    whole = answers(checks, scene, scene.account)
    attached = scene.attached_if_read if scene.account == asked.site.account else None
    if attached is not None:
        whole = Answer(inputs=inputs_of(attached, scene.account)) + whole
        # Where AWS may not be asked, our engine decides what was read.
        if all(each.how == "others" for each in whole.matrices):
            whole += decided_here(asked.site, attached, scene.account)
        whole = with_excerpts(trimmed(whole, text_of(attached)), texts_of(attached))
    calls = counted.calls + (manager.calls if manager else 0)
    identity = scene.identity
    account = Account(identity.account, name, identity.arn, asked.site.principal_arn, calls)
    return account, whole


def identity(check: Check, scene: AccountScene, _before: Answer) -> Answer:
    """Report whose credentials these are, and whether they belong to the site's account."""
    account, site = scene.account, scene.site
    result = check.passed(1, scene.identity.arn, account)
    if account == site.account:
        return Answer(checks=(result,))
    said = f"the credentials belong to account {account}, the site is {site.account}"
    finding = check.finding("CML716", said, Spot(account=account))
    return Answer(checks=(result,), findings=(finding,))


def principal(check: Check, scene: AccountScene, _before: Answer) -> Answer:
    """Check that the site's user or role exists."""
    arn, account = scene.site.principal_arn, scene.account
    result = check.passed(1, arn, account)
    try:
        scene.holdings  # noqa: B018 - whether it can be read is the question
    except NotFoundError:
        spot = Spot(resource=arn, account=account)
        return Answer((), (result,), (check.finding("CML708", f"there is no `{arn}`", spot),))
    return Answer(checks=(result,))
