"""`cml-iam policy explain`: the decision on one request, and the role of each statement."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cml_iam.cli._exit import Exit
from cml_iam.cli._files import boundary_option, parameter_option, read_policies, read_policy
from cml_iam.cli._output import BAD, INFO, OK, WARN, answer, say, say_lines
from cml_iam.cli._settings import FILE, pairs, settings, shared_options
from cml_iam.cli._site import document_option, load_site, refuse_document
from cml_iam.engine import Request, compile_policies
from cml_iam.errors import DocumentError, InputError
from cml_iam.facts import action_problem, key_type, never_sent, principal_arn, sent_context
from cml_iam.policy import attachment_problems, load_policy
from cml_iam.render import Profile, render_parts

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from cml_iam.engine import (
        Authorizer,
        ConditionReason,
        ElementReason,
        Explanation,
        StatementReason,
    )
    from cml_iam.policy import PolicyDocument

WORDS = {
    "allowed": (OK, "allowed"),
    "explicitDeny": (BAD, "explicitly denied"),
    "implicitDeny": (BAD, "implicitly denied"),
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
@click.option(
    "--resource", default="*", show_default=True, metavar="ARN", help="ARN of the resource."
)
@click.option("--principal", metavar="ARN", help="ARN of the caller; needed for a resource policy.")
@click.option(
    "--context",
    "values",
    multiple=True,
    metavar="KEY=VALUE",
    help="Value of a condition key. Repeat a KEY for several values; KEY[]=VALUE is a list of one.",
)
@click.option(
    "--policy",
    "policies",
    multiple=True,
    type=FILE,
    metavar="FILE",
    help="Identity policy. Repeatable.  [default: the site's policy]",
)
@document_option("The site's policy to check if no --policy is given.")
@boundary_option
@click.option("--session", multiple=True, type=FILE, metavar="FILE", help="Session policy.")
@click.option("--resource-policy", type=FILE, metavar="FILE", help="Policy of the resource.")
@click.option(
    "--scp",
    multiple=True,
    type=FILE,
    metavar="FILE",
    help="Service control policy. Repeatable: one for each level, root first.",
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
    if policies:
        refuse_document("--policy")
    attachable = principal is None or principal_arn(principal) is not None
    if not attachable and (policies or resource_policy is None):
        raise InputError(
            f"`{principal}` cannot have an identity policy, only users and roles can",
            remedy="name a user or role, or give a --resource-policy and no --policy",
        )
    given = [_checked(policy) for path in policies for policy in read_policies(path)]
    authorizer = compile_policies(
        given or (_own_policy(document) if attachable else []),
        boundary=_attached(boundary) if boundary else None,
        session=[_attached(path) for path in session] or None,
        resource=read_policy(resource_policy) if resource_policy else None,
        scps=[[_attached(path)] for path in scp],
    )
    context = sent_context(_one_action(action), resource, read_context(values), principal)
    caller = None if principal == "*" else principal  # an anonymous one
    explanation = authorizer.explain(Request(action, resource, caller, context))
    unsent = tuple(never_sent(action, resource, context))
    answer(
        explanation.as_json() | {"problems": authorizer.problems, "never_sent": unsent},
        lambda: _print(explanation, authorizer, unsent),
        Exit.OK if explanation.outcome == "allowed" else Exit.FINDINGS,
    )


def read_context(texts: Iterable[str]) -> dict[str, str | list[str]]:
    """Read `KEY=VALUE` pairs.

    A key is a list of values if it occurs twice, or as `KEY[]`, or if AWS sends it as a list.
    """
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


def _attached(path: Path) -> PolicyDocument:
    """Read a principal's policy; raises DocumentError for one that IAM would not accept."""
    return _checked(read_policy(path))


def _checked(document: PolicyDocument) -> PolicyDocument:
    if problems := attachment_problems(document):
        raise DocumentError(problems)
    return document


def _one_action(action: str) -> str:
    """Return *action* if it exists: a typing error must not look like a decision."""
    service, colon, name = action.partition(":")
    if not (service and colon and name) or set("*? ") & set(action):
        raise InputError(
            f"not an action: `{action}`", remedy="name one, without wildcards: ec2:StopInstances"
        )
    if problem := action_problem(action):
        message, remedy = problem
        raise InputError(message, remedy=remedy)
    return action


def _own_policy(document: Profile) -> list[PolicyDocument]:
    name = f"the site's {document} policy"
    return [load_policy(part.text, name) for part in render_parts(load_site(), document)]


def _print(explanation: Explanation, authorizer: Authorizer, unsent: Sequence[str]) -> None:
    request = explanation.request
    symbol, words = WORDS[explanation.outcome]
    say(f"{symbol} {words}: {request.action} on {request.resource}")
    if explanation.outcome == "implicitDeny":
        say(f"  no statement allows it in the {_silent(explanation)}")
    say_lines(f"  {WARN} AWS never sends this request: {why}" for why in unsent)
    say_lines(f"  {INFO} {note}" for note in explanation.notes)
    heading = None
    for reason in explanation.statements:
        if heading != (heading := _heading(reason)):
            say("")
            say(heading)
        say_lines(_statement(reason))
    problems = dict.fromkeys(authorizer.problems)
    if problems:
        say("")
        say("can never match:")
    say_lines(f"  {WARN} {problem}" for problem in problems)


def _silent(explanation: Explanation) -> str:
    silent = [gate for gate in explanation.gates if not gate.allowed]
    return ", ".join(dict.fromkeys(KINDS[gate.kind] for gate in silent)) or "right account"


def _heading(reason: StatementReason) -> str:
    level = f", level {reason.level}" if reason.level else ""
    return f"{KINDS[reason.kind]}{level}: {reason.policy}"


def _statement(reason: StatementReason) -> Iterator[str]:
    """Yield the lines about one statement: its result, and each of its elements."""
    title = f"{reason.effect} {reason.label}"
    if reason.matched:
        symbol, verb = (BAD, "denies") if reason.effect == "Deny" else (OK, "allows")
        yield f"  {symbol} {title}: {verb}"
    else:
        other = any(not e.matched and e.element.endswith("Action") for e in reason.elements)
        if other and not settings().verbose:
            yield f"  {INFO} {title}: about other actions"
            return
        yield f"  {INFO} {title}: does not apply"
    parts: tuple[ElementReason | ConditionReason, ...] = (*reason.elements, *reason.conditions)
    for part in parts:
        yield f"      {OK if part.matched else BAD} {part}"
