"""`cml-iam policy verify`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cml_iam.cli._exit import judged
from cml_iam.cli._files import boundary_option, parameter_option, read_documents, read_policy
from cml_iam.cli._options import FILE, aws_options, option, refuse_aws_options, shared_options
from cml_iam.cli._output import BAD, OK, UNKNOWN, answer, complain_remedies, progress, say_lines
from cml_iam.cli._site import connect_as, document_option, load_site, refuse_document
from cml_iam.cli._table import print_matrix
from cml_iam.errors import InputError

if TYPE_CHECKING:
    from cml_iam.check.verify import Verification
    from cml_iam.expectations import Judgement
    from cml_iam.render import Profile
    from cml_iam.site import Site


@click.argument("files", nargs=-1, type=FILE)
@boundary_option
@document_option("The site's policy to check if no FILES are given.")
@option("--live", "Check the principal in AWS with iam:SimulatePrincipalPolicy.")
@option("--principal ARN", "With --live: check this principal.  [default: the site's]")
@parameter_option
@shared_options("site", "output")
@aws_options
def verify(
    files: tuple[Path, ...],
    boundary: Path | None,
    document: Profile,
    live: bool,
    principal: str | None,
) -> None:
    """Check that the policy grants what the site needs and denies what it forbids.

    Without FILES, checks the rendered policy; with FILES, those policies as if attached together to
    one principal. FILES may be folders, JSON, YAML, CloudFormation templates or Terraform plans;
    FILE#NAME is one policy of several in a file. With --live, simulates the principal in AWS with
    iam:SimulatePrincipalPolicy instead.

    Exits with 3 when an expectation does not hold, and with 8 when one could not be checked.

    Examples:
      cml-iam policy verify
      cml-iam policy verify policy.json --boundary boundary.json
      cml-iam policy verify --live --profile admin
    """
    from cml_iam.check.verify import verify_offline
    from cml_iam.expectations import derive_expectations

    if files:
        refuse_document("the files")
    if not live:
        refuse_aws_options("--live")
    site = load_site()
    if live:
        refuse_document("--live")
        if files or boundary:
            raise InputError("--live checks the attached policies in AWS; omit the files")
        done = _live(site, principal or site.principal_arn)
    else:
        limit = read_policy(boundary) if boundary else None
        documents = read_documents(files, document)
        done = verify_offline(derive_expectations(site), documents, limit)
    # The launch fails with the tags that CML Cloud Manager sends.
    fails = any(judgement.expectation.as_sent for judgement in done.failed)
    remedy = site.launch_warning.remedy if site.launch_warning and fails else None

    def show() -> None:
        print_matrix(*_table(done))
        say_lines(_lines(done))
        complain_remedies([remedy])

    code = judged(findings=bool(done.failed), unchecked=bool(done.unchecked))
    answer(done.as_json() | {"remedy": remedy}, show, code)


def _live(site: Site, principal: str) -> Verification:
    from cml_iam.check.checks import ask, check_named
    from cml_iam.check.scene import AccountScene

    aws = connect_as("administrator", site)
    with progress(f"asking AWS about {principal}"):
        here = AccountScene(aws, site, datetime.now(UTC), other=principal)
        done: Verification
        (done,) = ask(check_named("simulation"), here).details
    return done


def _table(done: Verification) -> tuple[list[str], list[list[str]]]:
    from cml_iam.expectations import SITUATIONS

    cells = done.cells
    used = {situation for _, situation in cells}
    columns = [situation for situation in SITUATIONS if situation in used]
    return ["permission", *columns], [
        [row, *(_cell(cells.get((row, column), ())) for column in columns)]
        for row in dict.fromkeys(row for row, _ in cells)
    ]


def _cell(judgements: Sequence[Judgement]) -> str:
    """Return the answer that all calls of a cell got, or that of the first wrong one."""
    if not judgements:
        return "-"
    for verdict, symbol in (("fails", BAD), ("unchecked", UNKNOWN)):
        wrong = [judgement for judgement in judgements if judgement.verdict == verdict]
        if wrong:
            word = (wrong[0].answer or "unchecked").upper()
            return f"{symbol} {word}" + (f" {len(wrong)}/{len(judgements)}" if wrong[1:] else "")
    answers = sorted({judgement.expectation.expected for judgement in judgements})
    return f"{OK} {' / '.join(answers)}"


def _lines(done: Verification) -> Iterator[str]:
    for judgement in (*done.failed, *done.unchecked):
        yield from _judgement_lines(judgement)
    total, failed, unchecked = len(done.judgements), len(done.failed), len(done.unchecked)
    how = f"({done.how}{f', {done.calls} calls to AWS' if done.calls else ''})"
    if failed:
        yield f"{BAD} {failed} of {total} expectations do not hold {how}"
    elif unchecked:
        yield f"{UNKNOWN} {unchecked} of {total} expectations could not be checked {how}"
    else:
        yield f"{OK} all {total} expectations hold {how}"


def _judgement_lines(judgement: Judgement) -> Iterator[str]:
    expectation = judgement.expectation
    if judgement.verdict == "unchecked":
        yield f"{UNKNOWN} {expectation.description}: could not check [{expectation.id}]"
    else:
        by = f" by {', '.join(judgement.statements)}" if judgement.statements else ""
        wrong = f"must be {expectation.expected}, but is {judgement.answer}{by}"
        yield f"{BAD} {expectation.description}: {wrong} [{expectation.id}]"
    if judgement.hint:
        yield f"    {judgement.hint}"
