"""`cml-iam policy who-can`: which users and roles of an account may do something."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cml_iam.cli._exit import judged
from cml_iam.cli._files import read_json
from cml_iam.cli._output import INFO, OK, UNKNOWN, WARN, answer, note, progress, say_lines
from cml_iam.cli._settings import FILE, settings, shared_options
from cml_iam.errors import InputError
from cml_iam.report import plural

if TYPE_CHECKING:
    from cml_iam.who import Account, Holder, Origin, Question

SYMBOLS = {"undecided": UNKNOWN, "no": OK}


@click.argument("words", nargs=-1, required=True, metavar="ACTION [on RESOURCE] [where ...]")
@click.option(
    "--account",
    "file",
    type=FILE,
    help="Output of `aws iam get-account-authorization-details --output json`.  [required]",
)
@click.option("--scps", type=FILE, help="Service control policies, from the root to the account.")
@click.option("--resource-policies", type=FILE, help="Resource policies by ARN.")
@click.option(
    "--no-steps", is_flag=True, help="Leave out permissions that take several steps to obtain."
)
@shared_options("output", "verbose")
def who_can(
    words: tuple[str, ...],
    file: Path | None,
    scps: Path | None,
    resource_policies: Path | None,
    no_steps: bool,
) -> None:
    r"""List the principals that can do ACTION on RESOURCE, always or under conditions.

    Evaluates policies, groups, permissions boundaries, service control policies and the resource's
    policy together, over all possible requests. Uses the known facts: the principal's ARN, name and
    tags, the date, and the region of the resource. Follows several steps: roles that a principal
    may assume, and permissions that it may give itself.

    The file of --scps is a list of levels, each a list of policies. The file of --resource-policies
    is an object of policies by ARN. -v also lists those who may not.

    Exits with 8 when something could not be decided.

    Examples:
      aws iam get-account-authorization-details --output json > account.json
      cml-iam policy who-can iam:PassRole --account account.json
      cml-iam policy who-can ec2:StopInstances on 'arn:aws:ec2:*:*:instance/*' \
          where aws:ResourceTag/Team = lab --account account.json
    """
    from cml_iam.engine.parts import ALWAYS_ALLOWED
    from cml_iam.prove import is_sent, parse_shape
    from cml_iam.who import DOWNLOAD, Asker, Paths, Question, as_json, holders

    text = " ".join(words)
    question = Question.of(parse_shape(text, "who-can"))
    if question.action.lower() in ALWAYS_ALLOWED:
        raise InputError(f"{question.action} is allowed to every caller; no policy decides it")
    if is_sent(question.shape).holds:
        raise InputError(
            f"AWS never sends this request: {text}",
            remedy="check the action, the resource and the conditions",
        )
    if file is None:
        raise InputError(
            "--account is missing: the file with the account's users, roles and policies",
            remedy=f"write it with `{DOWNLOAD} > account.json`, then add --account account.json",
        )
    account = _account(file, scps, resource_policies, question)
    asker = Asker(account, datetime.now(UTC))
    with progress(f"asking {plural(len(account.members), 'principal')}", only_on_terminal=True):
        answers = holders(question, asker, None if no_steps else Paths(asker))
    undecided = any(holder.standing == "undecided" for holder in answers)
    answer(
        as_json(question, account, answers),
        lambda: say_lines(_lines(text, account, answers, question)),
        judged(findings=False, unchecked=undecided),
    )


def _account(file: Path, scps: Path | None, resources: Path | None, question: Question) -> Account:
    from cml_iam.who import account_of, with_resources, with_scps

    account = account_of(read_json(file), str(file))
    if scps:
        account = with_scps(account, read_json(scps), str(scps))
        for number, level in enumerate(account.scps, 1):
            if not any(
                statement.effect == "Allow" for policy in level for statement in policy.statements
            ):
                note(
                    f"{WARN} {scps}: level {number} allows nothing, so nobody may do anything;"
                    " is FullAWSAccess missing from the file?"
                )
    else:
        note(f"{INFO} without --scps, service control policies are assumed to allow everything")
    if resources:
        account = with_resources(account, read_json(resources), str(resources))
        if not account.policy_on(question.action, question.resource):
            note(f"{WARN} {resources}: it has no policy of {question.resource}, so it was not used")
    return account


def _lines(
    text: str, account: Account, answers: tuple[Holder, ...], question: Question
) -> Iterator[str]:
    yield f"{text}, account {account.number}"
    for one in answers:
        if one.standing != "no":
            yield from _holder_lines(one, question)
        elif settings().verbose:
            yield f"{OK} no         {one.member.label}"
    counts = {holder.standing: 0 for holder in answers}
    for holder in answers:
        counts[holder.standing] += 1
    yield f"{INFO} {', '.join(f'{number} {name}' for name, number in counts.items())}"


def _holder_lines(one: Holder, question: Question) -> Iterator[str]:
    yield f"{SYMBOLS.get(one.standing, WARN)} {one.standing:9}  {one.member.label}"
    cell = one.cell
    if one.standing == "by steps" and one.path:
        cell = one.path.cell
        for number, step in enumerate(one.path.steps, 1):
            yield f"    {number}. {step.action}"
            yield f"       on {step.on}"
            yield from _why(step.by, step.remains, "       ")
        yield f"    {len(one.path.steps) + 1}. {question.action} as {one.path.actor.label}"
        yield from _why(cell.by, cell.remains, "       ")
    else:
        yield from _why(cell.by, cell.remains, "    ")
    if one.tagging:
        yield f"    it may add the tag first: {one.tagging.action}"
        yield from _why(one.tagging.by, one.tagging.remains, "       ")
    if one.opened_to:
        yield f"    sessions may be started by {', '.join(one.opened_to)}"
    if cell.reason:
        yield f"    {cell.reason}"


def _why(by: tuple[Origin, ...], remains: tuple[str, ...], lead: str) -> Iterator[str]:
    shown = [origin.words for origin in by if origin.kind in {"identity", "resource"}]
    if shown:
        yield f"{lead}by {', '.join(shown)}"
    yield from (f"{lead}{remain}" for remain in remains)
