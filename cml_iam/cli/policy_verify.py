"""`cml-iam policy verify`."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cml_iam.check.verify import verify_offline
from cml_iam.cli._exit import judged
from cml_iam.cli._files import boundary_option, parameter_option, read_documents, read_policy
from cml_iam.cli._output import (
    BAD,
    OK,
    UNKNOWN,
    answer,
    complain_remedies,
    print_matrix,
    progress,
    say,
    say_lines,
)
from cml_iam.cli._settings import FILE, aws_options, refuse_aws_options, shared_options
from cml_iam.cli._site import connect_as, document_option, load_site, refuse_document
from cml_iam.errors import InputError
from cml_iam.expectations import SITUATIONS, Judgement, derive_expectations

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from cml_iam.check.verify import Verification
    from cml_iam.render import Profile
    from cml_iam.site import Site

UNLISTED_ROW = "other actions (samples)"


@click.argument("files", nargs=-1, type=FILE)
@boundary_option
@document_option("The site's policy to check if no FILES are given.")
@click.option(
    "--live", is_flag=True, help="Check the principal in AWS with iam:SimulatePrincipalPolicy."
)
@click.option(
    "--principal", metavar="ARN", help="With --live: check this principal.  [default: the site's]"
)
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
    code = judged(findings=bool(done.failed), unchecked=bool(done.unchecked))
    remedy = _remedy(done, site)
    answer(done.as_json() | {"remedy": remedy}, lambda: _print(done, remedy), code)


def _remedy(done: Verification, site: Site) -> str | None:
    """Return what to do where the launch fails with the tags that CML Cloud Manager sends."""
    warning = site.launch_warning
    fails = any(judgement.expectation.as_sent for judgement in done.failed)
    return warning.remedy if warning and fails else None


def _print(done: Verification, remedy: str | None) -> None:
    print_verification(done)
    complain_remedies([remedy])


def _live(site: Site, principal: str) -> Verification:
    from cml_iam.check.checks import ask, check_named
    from cml_iam.check.scene import AccountScene, Live

    aws = connect_as("administrator", site)
    with progress(f"asking AWS about {principal}"):
        asked = Live(site, datetime.now(UTC), principal=principal)
        done: Verification
        (done,) = ask(check_named("simulation"), AccountScene(aws, asked)).details
    return done


def print_verification(done: Verification) -> None:
    """Print the table of permissions by situations, the failures, and a verdict."""
    columns = [name for name in SITUATIONS if name in {_situation(j) for j in done.judgements}]
    print_matrix(["permission", *columns], _rows(done.judgements, columns))
    for judgement in (*done.failed, *done.unchecked):
        say_lines(_lines(judgement))
    say(_verdict(done))


def _rows(judgements: Iterable[Judgement], columns: Sequence[str]) -> Iterable[list[str]]:
    cells: dict[str, dict[str, list[Judgement]]] = defaultdict(lambda: defaultdict(list))
    for judgement in judgements:
        situation = _situation(judgement)
        listed = situation != SITUATIONS[-1]
        row = judgement.expectation.permission if listed else UNLISTED_ROW
        cells[row][situation].append(judgement)
    for row, by_situation in cells.items():
        yield [row, *(_cell(by_situation.get(column, ())) for column in columns)]


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


def _situation(judgement: Judgement) -> str:
    return judgement.expectation.situation


def _lines(judgement: Judgement) -> Iterator[str]:
    expectation = judgement.expectation
    if judgement.verdict == "unchecked":
        yield f"{UNKNOWN} {expectation.description}: could not check [{expectation.id}]"
    else:
        by = f" by {', '.join(judgement.statements)}" if judgement.statements else ""
        wrong = f"must be {expectation.expected}, but is {judgement.answer}{by}"
        yield f"{BAD} {expectation.description}: {wrong} [{expectation.id}]"
    if judgement.hint:
        yield f"    {judgement.hint}"


def _verdict(done: Verification) -> str:
    total = len(done.judgements)
    asked = f", {done.calls} calls to AWS" if done.calls else ""
    if done.failed:
        return f"{BAD} {len(done.failed)} of {total} expectations do not hold ({done.how}{asked})"
    if done.unchecked:
        count = len(done.unchecked)
        return f"{UNKNOWN} {count} of {total} expectations could not be checked ({done.how}{asked})"
    return f"{OK} all {total} expectations hold ({done.how}{asked})"
