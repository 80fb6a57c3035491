"""`cml-iam policy prove`: what policies can permit, over all requests."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from cml_iam import prove as room
from cml_iam.cli._exit import Exit
from cml_iam.cli._exit import judged as code_of
from cml_iam.cli._files import boundary_option, parameter_option, read_documents, read_policy
from cml_iam.cli._options import FILE, option, settings, shared_options
from cml_iam.cli._output import BAD, INFO, OK, UNKNOWN, WARN, answer, note, progress
from cml_iam.cli._proof_text import (
    IF_COLONS,
    UNDECIDED,
    assumption_lines,
    call_lines,
    promise_lines,
)
from cml_iam.cli._site import document_option, find_site, load_site, refuse_document
from cml_iam.errors import DocumentError, InputError

if TYPE_CHECKING:
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
@option("--within REFERENCE", "Prove that FILES grant nothing that REFERENCE does not.", type=FILE)
@option("--equivalent REFERENCE", "Prove that FILES grant the same as REFERENCE.", type=FILE)
@option("--never REQUESTS", "Prove that none of these requests is allowed.")
@option("--always REQUESTS", "Prove that each of these requests is allowed.")
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
    questions = {"within": within, "equivalent": equivalent, "never": never, "always": always}
    chosen = {name: value for name, value in questions.items() if value is not None}
    if len(chosen) > 1:
        raise InputError(f"{' and '.join(f'--{name}' for name in chosen)}: ask one at a time")
    judged = partial(_policies, files, document, boundary)
    if not chosen:
        _promises(judged)
        return
    ((question, value),) = chosen.items()
    names = ", ".join(map(str, files)) or "the rendered policy"
    title = QUESTIONS[question].format(files=names, other=value)
    if isinstance(value, Path):
        _compare(question, title, names, judged, value)
    else:
        _ask(question, title, judged, value)


def _policies(
    files: Sequence[Path], document: Profile = "hardened", boundary: Path | None = None
) -> Policies:
    """Return the policies in *files*, or the rendered one: of a principal, or of a resource.

    With a site file, they are in the partition of its account.
    """
    from cml_iam.policy import attachment_problems

    for file in files:
        if ":" in file.name and "#" not in file.name and not file.exists():
            raise InputError(
                f"no such file: `{file}`",
                remedy="use --never or --always to ask about requests",
            )
    documents = read_documents(files, document)
    beyond = (read_policy(boundary),) if boundary else None
    naming = [document for document in documents if _names_principals(document)]
    if naming and (documents[1:] or beyond):
        raise InputError(
            f"`{naming[0].name}` names principals, so it is a resource policy",
            remedy="prove it alone, because policies attached to a principal name no principals",
        )
    site = find_site()
    partition = site.partition if site else ""
    if naming:
        return room.Policies(resource=naming[0], partition=partition)
    attached = (*documents, *(beyond or ()))
    problems = tuple(problem for document in attached for problem in attachment_problems(document))
    if problems:
        raise DocumentError(problems)
    return room.Policies(documents, beyond, partition=partition)


def _names_principals(document: PolicyDocument) -> bool:
    return any(statement.principal or statement.not_principal for statement in document.statements)


def _compare(
    question: str, title: str, names: str, judged: Callable[[], Policies], path: Path
) -> None:
    """Compare the policies *judged*, called *names*, with those in *path*."""
    other, mine = _policies([path]), judged()
    if (other.resource is None) != (mine.resource is None):
        of_resource, of_principal = (names, path) if mine.resource else (path, names)
        raise InputError(
            f"`{of_resource}` names principals and `{of_principal}` does not",
            remedy="compare policies of principals with each other, and those of resources",
        )
    with progress("proving", only_on_terminal=True):
        verdict: Verdict = getattr(room, question)(mine, other)
    # The name of the side that does not allow the witness.
    named = {document.name for document in (*other.identity, other.resource) if document}
    statements = verdict.witness.candidate.statements if verdict.witness else ()
    by = {statement.policy for statement in statements}
    _answer(question, title, verdict, [mine, other], other=names if named & by else str(path))


def _ask(question: str, title: str, judged: Callable[[], Policies], text: str) -> None:
    """Ask about the requests that *text* describes, if any exist."""
    shape = room.parse_shape(text, f"--{question}")
    for doubt in _doubtful_regions(shape):
        note(f"{WARN} {doubt}")
    policies = judged()
    with progress("proving", only_on_terminal=True):
        verdict: Verdict = getattr(room, question)(policies, shape)
        sent = room.is_sent(shape, of_resource=bool(policies.resource)) if verdict.holds else None
    if sent and sent.holds:
        _refuse(question, shape, sent)
    keys = [key for block in shape.conditions.values() for key in block]
    _answer(question, title, verdict, [policies], keys=keys)


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

    regions = all_regions()
    for operator, block in shape.conditions.items():
        if operator == "Null":  # its value is not a region
            continue
        for value in (value for key in filter(is_region, block) for value in block[key]):
            if value not in regions and not set(value) & set("*?$"):
                meant = meant_region(value, regions)
                hint = f" ({meant})" if meant else ""
                yield f"unknown AWS region `{value}`{hint}"


def _answer(
    question: str,
    title: str,
    verdict: Verdict,
    sides: Sequence[Policies],
    *,
    other: str = "",
    keys: Sequence[str] = (),
) -> None:
    """Print the answer to one question.

    *other* is the name of the side that does not allow the witness, and *keys* are the condition
    keys in the question.
    """
    never = _never_matches(*sides)

    def lines() -> Iterator[str]:
        yield from (f"{WARN} {problem}" for problem in never)
        yield f"{_symbol(verdict.answer, sure=not verdict.colon)} {verdict.answer}  {title}"
        if verdict.answer == "undecided":
            yield f"    {verdict.reason}"
            yield f"    {UNDECIDED}"
        if verdict.witness:
            yield from call_lines(verdict.witness, other=other, asked=keys)
        if verdict.colon:
            yield f"{WARN} {verdict.colon}, {IF_COLONS}"
        if len(sides) > 1 and not any(map(_allows_anything, sides)):
            yield f"{WARN} {NO_ALLOW}"
        yield from assumption_lines(verdict.assumptions, every=bool(settings().verbose))

    result = {
        "question": question,
        "title": title,
        **verdict.as_json(),
        "never_matches": never,
    }
    answer(result, lines(), _code([verdict]))


def _never_matches(*sides: Policies) -> list[str]:
    """Return what in the policies can never match, such as an unknown operator."""
    from cml_iam.space import side_of

    problems = (problem for side in sides for problem in side_of(side).authorizer.problems)
    return list(dict.fromkeys(map(str, problems)))


def _allows_anything(policies: Policies) -> bool:
    from cml_iam.space import statements_of

    return any(statement.effect == "Allow" for statement in statements_of(policies))


def _promises(judged: Callable[[], Policies]) -> None:
    """Prove the site's promises."""
    site = load_site()
    policies = judged()
    with progress("proving", only_on_terminal=True):
        proofs = room.prove_site(site, policies)
    never = _never_matches(policies)
    result = {"promises": proofs, "never_matches": never}
    answer(result, _promises_lines(proofs, site, never), _code(proofs))


def _code(answered: Sequence[Proof | Verdict]) -> Exit:
    answers = {verdict.answer for verdict in answered}
    unsure = "undecided" in answers or any(verdict.colon for verdict in answered)
    return code_of(findings="broken" in answers, unchecked=unsure)


def _symbol(answer: str, *, sure: bool) -> str:
    return WARN if answer == "holds" and not sure else SYMBOLS[answer]


def _promises_lines(
    proofs: Sequence[Proof], site: Site, never_matches: Sequence[str]
) -> Iterator[str]:
    yield from (f"{WARN} {line}" for line in never_matches)
    width = max(len(proof.answer) for proof in proofs)
    verbose = bool(settings().verbose)
    for proof in proofs:
        symbol = _symbol(proof.answer, sure=not proof.limited and not proof.colon)
        yield from promise_lines(proof, f"{symbol} {proof.answer:{width}}", verbose=verbose)
    used = dict.fromkeys(assumption for proof in proofs for assumption in proof.assumptions)
    yield from assumption_lines(used, every=verbose)
    if not site.restrict.active:
        yield f"{INFO} the site has no restrictions, so there are no further promises"
    answers, total = [proof.answer for proof in proofs], len(proofs)
    broken, unsure = answers.count("broken"), answers.count("undecided")
    if broken > 1:
        yield f"{INFO} the policy that `cml-iam policy render` prints keeps all of them"
    if broken or unsure:
        parts = [f"{broken} of {total} promises broken"] if broken else []
        parts += [f"{unsure} of {total} undecided"] if unsure else []
        yield f"{BAD if broken else UNKNOWN} {', '.join(parts)}"
    elif any(proof.colon for proof in proofs):
        yield f"{WARN} all {total} promises hold in this reading of ARN wildcards, see above"
    else:
        yield f"{OK} all {total} promises hold, for every possible request"
