"""`cml-iam policy prove`: what policies can permit, over all requests."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from cml_iam.cli._exit import Exit
from cml_iam.cli._exit import judged as code_of
from cml_iam.cli._files import boundary_option, parameter_option, read_documents, read_policy
from cml_iam.cli._output import BAD, INFO, OK, UNKNOWN, WARN, answer, note, progress, say, say_lines
from cml_iam.cli._proof_text import (
    UNDECIDED,
    assumption_lines,
    call_lines,
    other_reading,
    promise_line,
    proof_lines,
)
from cml_iam.cli._settings import FILE, settings, shared_options
from cml_iam.cli._site import document_option, find_site, load_site, refuse_document
from cml_iam.errors import DocumentError, InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cml_iam.policy import PolicyDocument
    from cml_iam.prove import Policies, Proof, Shape, Verdict
    from cml_iam.render import Profile
    from cml_iam.site import Site

SYMBOLS = {"holds": OK, "broken": BAD, "undecided": UNKNOWN}
QUESTIONS = {
    "within": "{files} allows nothing that {other} does not",
    "equivalent": "{files} allows the same as {other}",
    "never": "never allowed: {other}",
    "always": "always allowed: {other}",
}

NO_ALLOW = (
    "neither side allows anything; a Deny has an effect only together with policies that allow, so "
    "name those as well, or use `cml-iam policy diff`"
)


@click.argument("files", nargs=-1, type=FILE)
@boundary_option
@document_option("The site's policy to check if no FILES are given.")
@click.option(
    "--within",
    type=FILE,
    metavar="REFERENCE",
    help="Prove that FILES grant nothing that REFERENCE does not.",
)
@click.option(
    "--equivalent",
    type=FILE,
    metavar="REFERENCE",
    help="Prove that FILES grant the same as REFERENCE.",
)
@click.option("--never", metavar="REQUESTS", help="Prove that none of these requests is allowed.")
@click.option("--always", metavar="REQUESTS", help="Prove that each of these requests is allowed.")
@parameter_option
@shared_options("site", "output", "verbose")
def prove(
    files: tuple[Path, ...],
    boundary: Path | None,
    document: Profile,
    within: Path | None,
    equivalent: Path | None,
    never: str | None,
    always: str | None,
) -> None:
    r"""Prove what policies can never permit, over every possible request.

    Without a question, proves the promises of the site file for FILES, as if attached together to
    one principal, or for the rendered policy. Write REQUESTS on one line: actions, `on` resources,
    `where` conditions joined by `and`. A statement that does not hold is reported with the calls
    that disprove it, the policy statements that allow them, and a correction.

    FILES may be `-` for stdin, folders, JSON, YAML, CloudFormation templates or Terraform plans;
    FILE#NAME is one policy of several in a file. -v prints the facts about AWS that a proof rests
    on.

    Exits with 3 when something does not hold, and with 8 when something could not be decided.

    Examples:
      cml-iam policy prove
      cml-iam policy prove base.json --boundary boundary.json
      cml-iam policy prove --within base.json hardened.json
      cml-iam policy prove \
        --never 'ec2:StopInstances on * where aws:RequestedRegion = eu-west-1'
    """
    if files:
        refuse_document("the files")
    judged = Judged(files, boundary, document)
    asked = {"within": within, "equivalent": equivalent, "never": never, "always": always}
    given = {name: value for name, value in asked.items() if value is not None}
    if len(given) > 1:
        raise InputError(f"{' and '.join(f'--{each}' for each in given)}: ask one at a time")
    if given:
        ((question, value),) = given.items()
        _one(question, value, judged)
    else:
        _promises(judged)


@dataclass(frozen=True, slots=True)
class Judged:
    """The policies in question: *files*, otherwise the site's policy *document*."""

    files: Sequence[Path]
    boundary: Path | None = None
    document: Profile = "hardened"

    @property
    def names(self) -> str:
        """Their names."""
        return ", ".join(map(str, self.files)) or "the rendered policy"


@dataclass(frozen=True, slots=True)
class Asked:
    """A question and its answer.

    *sides* are the policies in question, *other* is the name of the side that does not allow the
    witness, and *keys* are the condition keys in the question.
    """

    verdict: Verdict
    sides: tuple[Policies, ...]
    other: str = ""
    keys: tuple[str, ...] = ()


def _never_matches(*sides: Policies) -> list[str]:
    """Return what in the policies can never match, such as an unknown operator."""
    from cml_iam.engine import compile_policies

    found: dict[str, None] = {}
    for side in sides:
        made = compile_policies(side.identity, boundary=side.boundary, resource=side.resource)
        found |= dict.fromkeys(map(str, made.problems))
    return list(found)


def _policies(judged: Judged) -> Policies:
    """Return the policies in *files*, or the rendered one: of a principal, or of a resource.

    With a site file, they are in the partition of its account.
    """
    from cml_iam.policy import attachment_problems
    from cml_iam.prove import Policies

    for file in judged.files:
        if ":" in file.name and "#" not in file.name and not file.exists():
            raise InputError(
                f"no such file: `{file}`",
                remedy="use --never or --always to ask about requests",
            )
    documents = read_documents(judged.files, judged.document)
    beyond = (read_policy(judged.boundary),) if judged.boundary else None
    naming = [document for document in documents if _names_principals(document)]
    if naming and (documents[1:] or beyond):
        raise InputError(
            f"`{naming[0].name}` names principals, so it is a resource policy",
            remedy="prove it alone, because policies attached to a principal name no principals",
        )
    site = find_site()
    partition = site.partition if site else ""
    if naming:
        return Policies(resource=naming[0], partition=partition)
    problems = [
        p for document in (*documents, *(beyond or ())) for p in attachment_problems(document)
    ]
    if problems:
        raise DocumentError(tuple(problems))
    return Policies(documents, beyond, partition=partition)


def _names_principals(document: PolicyDocument) -> bool:
    return any(statement.principal or statement.not_principal for statement in document.statements)


def _one(question: str, value: Path | str, judged: Judged) -> None:
    """Ask one question."""
    title = QUESTIONS[question].format(files=judged.names, other=value)
    if isinstance(value, Path):
        asked = _compared(question, value, judged)
    else:
        asked = _of_requests(question, value, judged)
    told = {
        "question": question,
        "title": title,
        **asked.verdict.as_json(),
        "never_matches": _never_matches(*asked.sides),
    }
    answer(told, lambda: _show_verdict(title, asked), _code([asked.verdict]))


def _compared(question: str, path: Path, judged: Judged) -> Asked:
    """Compare the policies with those in *path*."""
    from cml_iam import prove

    other, mine = _policies(Judged([path])), _policies(judged)
    if (other.resource is None) != (mine.resource is None):
        of_resource, of_principal = (judged.names, path) if mine.resource else (path, judged.names)
        raise InputError(
            f"`{of_resource}` names principals and `{of_principal}` does not",
            remedy="compare policies of principals with each other, and those of resources",
        )
    with progress("proving", only_on_terminal=True):
        verdict: Verdict = getattr(prove, question)(mine, other)
    return Asked(verdict, (mine, other), other=_narrower(verdict, other, path, judged))


def _narrower(verdict: Verdict, other: Policies, path: Path, judged: Judged) -> str:
    """Return the name of the side that does not allow the witness."""
    named = {document.name for document in (*other.identity, other.resource) if document}
    if verdict.witness and named & {e.policy for e in verdict.witness.candidate.statements}:
        return judged.names
    return str(path)


def _of_requests(question: str, text: str, judged: Judged) -> Asked:
    """Ask about the requests that *text* describes, if any exist."""
    from cml_iam import prove

    shape = prove.parse_shape(text, f"--{question}")
    for doubt in _doubtful_regions(shape):
        note(f"{WARN} {doubt}")
    policies = _policies(judged)
    with progress("proving", only_on_terminal=True):
        verdict: Verdict = getattr(prove, question)(policies, shape)
        sent = prove.is_sent(shape, of_resource=bool(policies.resource)) if verdict.holds else None
    if sent and sent.holds:
        _refuse(question, shape, sent)
    keys = tuple(key for block in shape.conditions.values() for key in block)
    return Asked(verdict, (policies,), keys=keys)


def _refuse(question: str, shape: Shape, sent: Verdict) -> NoReturn:
    """Explain why no request has the form *shape*."""
    from cml_iam.engine.parts import ALWAYS_ALLOWED

    why = sent.assumptions[0].text if sent.assumptions else "the conditions exclude each other"
    if {action.lower() for action in shape.actions} <= ALWAYS_ALLOWED:
        why = f"{', '.join(shape.actions)} is allowed to every caller"
    raise InputError(
        f"--{question}: no policy decides these requests: {why}",
        remedy="check the actions, the resources and the conditions",
    )


def _doubtful_regions(shape: Shape) -> Iterator[str]:
    """Yield doubts about regions in the question: a typing error would ask nothing."""
    from cml_iam.facts import all_regions, is_region, meant_region

    known = all_regions()
    for operator, block in shape.conditions.items():
        values = (
            () if operator == "Null" else (v for k in filter(is_region, block) for v in block[k])
        )
        for value in values:
            if value not in known and not set(value) & set("*?$"):
                meant = meant_region(value, known)
                hint = f" ({meant})" if meant else ""
                yield f"unknown AWS region `{value}`{hint}"


def _promises(judged: Judged) -> None:
    """Prove the site's promises."""
    from cml_iam.prove import prove_site

    site = load_site()
    policies = _policies(judged)
    with progress("proving", only_on_terminal=True):
        proofs = prove_site(site, policies)
    never = _never_matches(policies)
    answer(
        {"promises": proofs, "never_matches": never},
        lambda: _show(proofs, site, never),
        _code(proofs),
    )


def _code(answered: Sequence[Proof | Verdict]) -> Exit:
    answers = {verdict.answer for verdict in answered}
    unsure = "undecided" in answers or any(verdict.colon for verdict in answered)
    return code_of(findings="broken" in answers, unchecked=unsure)


def _symbol(answer: str, *, sure: bool) -> str:
    return WARN if answer == "holds" and not sure else SYMBOLS[answer]


def _show(proofs: Sequence[Proof], site: Site, never_matches: Sequence[str]) -> None:
    say_lines(f"{WARN} {line}" for line in never_matches)
    width = max(len(each.answer) for each in proofs)
    verbose = bool(settings().verbose)
    for proof in proofs:
        symbol = _symbol(proof.answer, sure=not proof.limited and not proof.colon)
        lead = f"{symbol} {proof.answer:{width}}"
        say_lines((*promise_line(proof, lead), *proof_lines(proof, verbose=verbose)))
    used = dict.fromkeys(a for each in proofs for a in each.assumptions)
    say_lines(assumption_lines(used, every=verbose))
    if not site.restrict.active:
        say(f"{INFO} the site has no restrictions, so there are no further promises")
    if sum(each.answer == "broken" for each in proofs) > 1:
        say(f"{INFO} the policy that `cml-iam policy render` prints keeps all of them")
    say(_verdict(proofs))


def _verdict(proofs: Sequence[Proof]) -> str:
    answers, total = [proof.answer for proof in proofs], len(proofs)
    broken, unsure = answers.count("broken"), answers.count("undecided")
    if broken or unsure:
        parts = [f"{broken} of {total} promises broken"] if broken else []
        parts += [f"{unsure} of {total} undecided"] if unsure else []
        return f"{BAD if broken else UNKNOWN} {', '.join(parts)}"
    if any(proof.colon for proof in proofs):
        return f"{WARN} all {total} promises hold in this reading of ARN wildcards, see above"
    return f"{OK} all {total} promises hold, for every possible request"


def _show_verdict(title: str, asked: Asked) -> None:
    verdict = asked.verdict
    say_lines(f"{WARN} {each}" for each in _never_matches(*asked.sides))
    say(f"{_symbol(verdict.answer, sure=not verdict.colon)} {verdict.answer}  {title}")
    if verdict.answer == "undecided":
        say(f"    {verdict.reason}")
        say(f"    {UNDECIDED}")
    if verdict.witness:
        say_lines(call_lines(verdict.witness, other=asked.other, asked=asked.keys))
    if verdict.colon:
        say(other_reading(verdict.colon))
    if len(asked.sides) > 1 and not any(map(_allows_anything, asked.sides)):
        say(f"{WARN} {NO_ALLOW}")
    say_lines(assumption_lines(verdict.assumptions, every=bool(settings().verbose)))


def _allows_anything(policies: Policies) -> bool:
    from cml_iam.space import documents

    statements = (
        statement for document in documents(policies) for statement in document.statements
    )
    return any(statement.effect == "Allow" for statement in statements)
