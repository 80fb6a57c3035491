"""Audit an account, or many: a role is assumed in each, several at a time, for one report.

https://docs.aws.amazon.com/IAM/latest/UserGuide/tutorial_cross-account-with-roles.html
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from cml_iam.audit import Account, Spot
from cml_iam.aws import Counted
from cml_iam.check._expected import decided_here, matrix_of
from cml_iam.check._meaning import inputs_of
from cml_iam.check._texts import document_text, with_excerpts
from cml_iam.check.answer import Answer, trimmed
from cml_iam.check.checks import AUDIT_ACCOUNT, answers
from cml_iam.check.scene import AccountScene
from cml_iam.errors import (
    CmlIamError,
    DeniedError,
    DocumentError,
    InputError,
    NotFoundError,
    Place,
    Problem,
)
from cml_iam.policy import canonical

if TYPE_CHECKING:
    from cml_iam.aws.port import Aws
    from cml_iam.check.checks import Check
    from cml_iam.secret import Secret
    from cml_iam.site import Site


def audit_account(scene: AccountScene, name: str | None = None) -> tuple[Account, Answer]:
    """Audit the account of *scene*, called *name*; only reads, and counts its calls.

    Raises AwsError if even sts:GetCallerIdentity gets no answer.
    """
    counted = Counted(scene.aws)
    manager = Counted(scene.manager) if scene.manager else None
    scene = replace(scene, aws=counted, manager=manager)
    checks = [
        check
        for check in AUDIT_ACCOUNT
        if check.id not in scene.skip and (not check.optional or check.id in scene.also)
    ]
    whole = answers(checks, scene, scene.account)
    attached = scene.attached_if_read if scene.account == scene.site.account else None
    if attached is not None:
        whole = Answer(inputs=inputs_of(attached, scene.account)) + whole
        # If AWS may not be asked to simulate, our engine decides by the policies that were read.
        if all(matrix.how == "others" for matrix in whole.matrices):
            done, asker = decided_here(scene.site, attached.documents, attached.boundary)
            matrix = matrix_of(done, asker, scene.account)
            whole += Answer(matrices=(matrix,))
        documents = {attached.name_of(held): held.document for held in attached.with_boundary}
        whole = trimmed(whole, "\n".join(map(canonical, documents.values())))
        texts = {name: document_text(document) for name, document in documents.items()}
        whole = with_excerpts(whole, texts)
    calls = counted.calls + (manager.calls if manager else 0)
    identity = scene.identity
    account = Account(identity.account, name, identity.arn, scene.site.principal_arn, calls)
    return account, whole


def identity(check: Check, scene: AccountScene, _before: Answer) -> Answer:
    """Report whose credentials these are, and whether they belong to the site's account."""
    account, site = scene.account, scene.site
    message = f"the credentials belong to account {account}, but the site is account {site.account}"
    faults = [check.finding("CML716", message, Spot(account=account))]
    return check.answer(1, scene.identity.arn, account, faults if account != site.account else ())


def principal(check: Check, scene: AccountScene, _before: Answer) -> Answer:
    """Check that the site's user or role exists."""
    arn, account = scene.site.principal_arn, scene.account
    try:
        scene.holdings  # noqa: B018 - whether it can be read is the question
    except NotFoundError:
        spot = Spot(resource=arn, account=account)
        finding = check.finding("CML708", f"there is no `{arn}`", spot)
        return check.answer(1, arn, account, [finding])
    return check.answer(1, arn, account)


DEFAULT_ROLE: Final = "cml-iam-audit"
SESSION: Final = "cml-iam-audit"
"""Name of the session in the other account's CloudTrail."""

_LINE: Final = re.compile(r"([0-9]{12})(?:[\s,;]+(.+))?")


def read_targets(text: str, name: str) -> dict[str, str | None]:
    """Return the accounts in a file, one id per line with or without a name; `#` is a comment.

    Raises DocumentError for any other line, InputError if there is no account.
    """
    targets: dict[str, str | None] = {}
    problems = []
    for number, line in enumerate(text.splitlines(), start=1):
        text_of_line = line.partition("#")[0].strip()
        match = _LINE.fullmatch(text_of_line)
        if match:
            targets.setdefault(match[1], match[2])
        elif text_of_line:
            message = f"not the twelve digits of an account: `{text_of_line}`"
            problems.append(Problem(message, Place(name, number, 1)))
    if problems:
        raise DocumentError(tuple(problems))
    if not targets:
        raise InputError(f"no account in `{name}`", remedy="write an account's id on each line")
    return targets


def list_organization(aws: Aws) -> dict[str, str | None]:
    """Return the organization's active accounts and their names, sorted by id.

    Only the organization's management account may do this.
    Raises InputError if there are none, because an audit of no account would look like a success.
    https://docs.aws.amazon.com/organizations/latest/APIReference/API_ListAccounts.html
    """
    targets = {
        account["Id"]: account.get("Name")
        for account in aws.pages("organizations", "list_accounts", "Accounts")
        if account.get("Status", "ACTIVE") == "ACTIVE"
    }
    if not targets:
        raise InputError(
            "there is no active account in the organization of these credentials",
            remedy="use credentials of its management account, or list the accounts: --accounts "
            "FILE",
        )
    return dict(sorted(targets.items()))


def audit_accounts(
    scene: AccountScene,
    targets: Mapping[str, str | None],
    enter: Callable[[Aws, Site], Aws],
    several: int,
    report: Callable[[Account], None] = lambda _: None,
) -> Iterator[tuple[Account, Answer]]:
    """Audit *targets* (names by id), *several* at a time; yield the results in their order.

    The site of *scene* applies to each account, with that account's id; *enter* returns AWS as seen
    in it. An account that cannot be entered counts as not checked and does not stop the others.
    *report* is called after each account. Matrices keep only unexpected cells, so that memory does
    not grow with the number of accounts. Raises AwsError if sts:GetCallerIdentity gets no answer.
    """
    here = scene.account

    def audited(id_: str, name: str | None) -> tuple[Account, Answer]:
        inside = replace(scene, site=replace(scene.site, account=id_))
        account, answer = _audited(inside, name, None if id_ == here else enter)
        report(account)
        return account, kept(answer)

    with ThreadPoolExecutor(max_workers=several) as pool:
        yield from pool.map(audited, targets, targets.values())


def _audited(
    scene: AccountScene, name: str | None, enter: Callable[[Aws, Site], Aws] | None
) -> tuple[Account, Answer]:
    counted = Counted(scene.aws)
    try:
        if enter:
            scene = replace(scene, aws=enter(counted, scene.site))
        account, answer = audit_account(scene, name)
    except CmlIamError as error:
        lost = Account(
            scene.site.account,
            name,
            principal=scene.site.principal_arn,
            calls=counted.calls,
            state="not checked",
            reason=" ".join(error.message.split()),
            remedy=error.remedy,
        )
        return lost, Answer()
    return replace(account, calls=account.calls + counted.calls), answer


def enter_role(
    aws: Aws,
    site: Site,
    *,
    role: str,
    external_id: str | None,
    sign_in: Callable[[str, Secret, Secret], Aws],
) -> Aws:
    """Return AWS as seen with *role* (and its path) in the account of *site*."""
    parameters: dict[str, Any] = {
        "RoleArn": f"arn:{site.partition}:iam::{site.account}:role/{role}",
        "RoleSessionName": SESSION,
    }
    if external_id is not None:
        parameters["ExternalId"] = external_id
    try:
        key = aws.call("sts", "assume_role", **parameters)["Credentials"]
    except DeniedError as error:
        raise DeniedError(
            f"the role `{parameters['RoleArn']}` cannot be assumed",
            code=error.code,
            operation=error.operation,
            remedy=f"create the role `{role}` there and let it trust these credentials: "
            "docs/audit.md",
        ) from None
    return sign_in(key["AccessKeyId"], key["SecretAccessKey"], key["SessionToken"])


def kept(answer: Answer) -> Answer:
    """Return *answer* with only the unexpected cells of its matrices."""
    matrices = (
        replace(matrix, cells=tuple(cell for cell in matrix.cells if cell.met is not True))
        for matrix in answer.matrices
    )
    return replace(answer, matrices=tuple(matrix for matrix in matrices if matrix.cells))
