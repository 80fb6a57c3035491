"""`cml-iam policy explain` and `who-can`: why a request is allowed, and who may make it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cml_iam import render
from cml_iam.cli._exit import Exit, judged
from cml_iam.cli._files import (
    boundary_option,
    parameter_option,
    read_json,
    read_policies,
    read_policy,
)
from cml_iam.cli._options import FILE, option, pairs, repeatable, settings, shared_options
from cml_iam.cli._output import BAD, INFO, OK, UNKNOWN, WARN, answer, note, progress
from cml_iam.cli._site import document_option, load_site, refuse_document
from cml_iam.errors import DocumentError, InputError
from cml_iam.report import plural

if TYPE_CHECKING:
    from cml_iam.engine import Authorizer, Explanation, StatementReason
    from cml_iam.policy import PolicyDocument
    from cml_iam.render import Profile
    from cml_iam.who import Account, Holder, Origin, Question

OUTCOMES = {
    "allowed": f"{OK} allowed",
    "explicitDeny": f"{BAD} explicitly denied",
    "implicitDeny": f"{BAD} implicitly denied",
}
KINDS = {
    "identity": "identity policy",
    "boundary": "permissions boundary",
    "session": "session policy",
    "resource": "resource policy",
    "scp": "service control policy",
    "rcp": "resource control policy",
    "endpoint": "endpoint policy",
}


@click.argument("action")
@option("--resource ARN", "ARN of the resource.", default="*")
@option("--principal ARN", "ARN of the caller; needed for a resource policy.")
@option(
    "--context KEY=VALUE",
    "Value of a condition key. Repeat a KEY for several values; KEY[]=VALUE is a list of one.",
    name="values",
    multiple=True,
)
@repeatable(
    "--policy FILE", "Identity policy.  [default: the site's policy]", name="policies", type=FILE
)
@document_option("The site's policy to check if no --policy is given.")
@boundary_option
@option("--session FILE", "Session policy.", multiple=True, type=FILE)
@option("--resource-policy FILE", "Policy of the resource.", type=FILE)
@option(
    "--scp FILE",
    "Service control policy. Repeatable: one for each level, root first.",
    multiple=True,
    type=FILE,
)
@parameter_option
@shared_options("site", "output", "verbose")
def explain(
    action: str,
    resource: str,
    principal: str | None,
    values: tuple[str, ...],
    policies: tuple[Path, ...],
    document: Profile,
    boundary: Path | None,
    session: tuple[Path, ...],
    resource_policy: Path | None,
    scp: tuple[Path, ...],
) -> None:
    r"""Explain whether ACTION is allowed, and why each statement did or did not apply.

    You can omit what follows from the rest of the request: the region and the instance ID in the
    ARN, the keys of the requested tags, the principal's properties, and a condition key's other
    name. Statements about other actions take one line each; -v also shows all their elements. A
    FILE may be a folder, JSON, YAML, a CloudFormation template or a Terraform plan; FILE#NAME is
    one policy of several in it.

    Exits with 0 if ACTION is allowed, and with 3 if it is denied.

    Examples:
      cml-iam policy explain ec2:StopInstances \
          --resource arn:aws:ec2:us-east-1:111122223333:instance/i-0a1b2c3d \
          --context aws:ResourceTag/ManagedBy=lablet-cloud-manager
    """
    from cml_iam.engine import Request, compile_policies
    from cml_iam.facts import never_sent, principal_arn, sent_context
    from cml_iam.policy import load_policy

    if policies:
        refuse_document("--policy")
    attachable = principal is None or principal_arn(principal) is not None
    if not attachable and (policies or resource_policy is None):
        raise InputError(
            f"`{principal}` cannot have an identity policy, only users and roles can",
            remedy="name a user or role, or give a --resource-policy and no --policy",
        )
    documents = [_checked(policy) for path in policies for policy in read_policies(path)]
    if not documents and attachable:
        name = f"the site's {document} policy"
        documents = [
            load_policy(part.text, name) for part in render.render_parts(load_site(), document)
        ]
    authorizer = compile_policies(
        documents,
        boundary=_checked(read_policy(boundary)) if boundary else None,
        session=[_checked(read_policy(path)) for path in session] or None,
        resource=read_policy(resource_policy) if resource_policy else None,
        scps=[[_checked(read_policy(path))] for path in scp],
    )
    context = sent_context(_one_action(action), resource, read_context(values), principal)
    caller = None if principal == "*" else principal  # an anonymous one
    explanation = authorizer.explain(Request(action, resource, caller, context))
    unsent = tuple(never_sent(action, resource, context))
    answer(
        explanation.as_json() | {"problems": authorizer.problems, "never_sent": unsent},
        _explanation_lines(explanation, authorizer, unsent),
        Exit.OK if explanation.outcome == "allowed" else Exit.FINDINGS,
    )


def read_context(texts: Iterable[str]) -> dict[str, str | list[str]]:
    """Read `KEY=VALUE` pairs.

    A key is a list of values if it occurs twice, or as `KEY[]`, or if AWS sends it as a list.
    """
    from cml_iam.facts import key_type

    context: dict[str, str | list[str]] = {}
    for name, value in pairs(texts, "the value of a condition key"):
        key = name.removesuffix("[]")
        before = context.get(key)
        if before is None:
            is_list = name.endswith("[]") or (key_type(key) or "").startswith("ArrayOf")
            context[key] = [value] if is_list else value
        else:
            context[key] = [*(before if isinstance(before, list) else [before]), value]
    return context


def _checked(document: PolicyDocument) -> PolicyDocument:
    """Return a principal's policy; raises DocumentError for one that IAM would not accept."""
    from cml_iam.policy import attachment_problems

    if problems := attachment_problems(document):
        raise DocumentError(problems)
    return document


def _one_action(action: str) -> str:
    """Return *action* if it exists: a typing error must not look like a decision."""
    from cml_iam.facts import action_problem

    service, colon, name = action.partition(":")
    if not (service and colon and name) or set("*? ") & set(action):
        raise InputError(
            f"not an action: `{action}`", remedy="name one, without wildcards: ec2:StopInstances"
        )
    if problem := action_problem(action):
        message, remedy = problem
        raise InputError(message, remedy=remedy)
    return action


def _explanation_lines(
    explanation: Explanation, authorizer: Authorizer, unsent: Sequence[str]
) -> Iterator[str]:
    request = explanation.request
    yield f"{OUTCOMES[explanation.outcome]}: {request.action} on {request.resource}"
    if explanation.outcome == "implicitDeny":
        silent = dict.fromkeys(KINDS[gate.kind] for gate in explanation.gates if not gate.allowed)
        yield f"  no statement allows it in the {', '.join(silent) or 'right account'}"
    yield from (f"  {WARN} AWS never sends this request: {why}" for why in unsent)
    yield from (f"  {INFO} {note}" for note in explanation.notes)
    for heading, reasons in groupby(explanation.statements, _heading):
        yield ""
        yield heading
        for reason in reasons:
            yield from _statement_lines(reason)
    problems = dict.fromkeys(authorizer.problems)
    if problems:
        yield ""
        yield "can never match:"
    yield from (f"  {WARN} {problem}" for problem in problems)


def _heading(reason: StatementReason) -> str:
    level = f", level {reason.level}" if reason.level else ""
    return f"{KINDS[reason.kind]}{level}: {reason.policy}"


def _statement_lines(reason: StatementReason) -> Iterator[str]:
    """Yield the lines about one statement: its result, and each of its elements."""
    title = f"{reason.effect} {reason.label}"
    if reason.matched:
        symbol, verb = (BAD, "denies") if reason.effect == "Deny" else (OK, "allows")
        yield f"  {symbol} {title}: {verb}"
    else:
        other = any(
            not element.matched and element.element.endswith("Action")
            for element in reason.elements
        )
        if other and not settings().verbose:
            yield f"  {INFO} {title}: about other actions"
            return
        yield f"  {INFO} {title}: does not apply"
    for part in reason.parts:
        yield f"      {OK if part.matched else BAD} {part}"


@click.argument("words", nargs=-1, required=True, metavar="ACTION [on RESOURCE] [where ...]")
@option(
    "--account",
    "Output of `aws iam get-account-authorization-details --output json`.  [required]",
    name="file",
    type=FILE,
)
@option("--scps", "Service control policies, from the root to the account.", type=FILE)
@option("--resource-policies", "Resource policies by ARN.", type=FILE)
@option("--no-steps", "Leave out permissions that take several steps to obtain.")
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
        _holders_lines(f"{text}, account {account.number}", answers, question),
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


def _holders_lines(title: str, holders: Sequence[Holder], question: Question) -> Iterator[str]:
    yield title
    for holder in holders:
        if holder.standing != "no":
            yield from _holder_lines(holder, question)
        elif settings().verbose:
            yield f"{OK} no         {holder.member.label}"
    counts = Counter(holder.standing for holder in holders)
    yield f"{INFO} {', '.join(f'{number} {name}' for name, number in counts.items())}"


def _holder_lines(holder: Holder, question: Question) -> Iterator[str]:
    symbol = UNKNOWN if holder.standing == "undecided" else WARN
    yield f"{symbol} {holder.standing:9}  {holder.member.label}"
    cell = holder.cell
    if holder.standing == "by steps" and holder.path:
        cell = holder.path.cell
        for number, step in enumerate(holder.path.steps, 1):
            yield f"    {number}. {step.action}"
            yield f"       on {step.on}"
            yield from _why(step.by, step.remains, "       ")
        yield f"    {len(holder.path.steps) + 1}. {question.action} as {holder.path.actor.label}"
        yield from _why(cell.by, cell.remains, "       ")
    else:
        yield from _why(cell.by, cell.remains, "    ")
    if holder.tagging:
        yield f"    it may add the tag first: {holder.tagging.action}"
        yield from _why(holder.tagging.by, holder.tagging.remains, "       ")
    if holder.opened_to:
        yield f"    sessions may be started by {', '.join(holder.opened_to)}"
    if cell.reason:
        yield f"    {cell.reason}"


def _why(by: tuple[Origin, ...], remains: tuple[str, ...], lead: str) -> Iterator[str]:
    shown = [origin.words for origin in by if origin.type in {"identity", "resource"}]
    if shown:
        yield f"{lead}by {', '.join(shown)}"
    yield from (f"{lead}{remain}" for remain in remains)
