"""`cml-iam audit`: all checks of files or accounts, in one report."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cml_iam.cli._connect import Credential, connect_as, credential_in, refuse_account_of_others
from cml_iam.cli._exit import judged
from cml_iam.cli._files import parameter_option, parameters, read_json, read_text
from cml_iam.cli._output import OK, UNKNOWN, console, note, print_json, progress, say
from cml_iam.cli._settings import aws_options, refuse_aws_options, settings, shared_options
from cml_iam.cli._site import DEFAULT_SITE, document_option, has_site, load_site, site_path
from cml_iam.errors import CmlIamError, InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from cml_iam.audit import Account, AuditRule, Report
    from cml_iam.aws.port import Aws
    from cml_iam.check import Answer
    from cml_iam.check.accounts import TemporaryKey
    from cml_iam.check.report import Waivers
    from cml_iam.check.scene import Live
    from cml_iam.lint import Rule, Severity
    from cml_iam.render import Profile
    from cml_iam.site import Site

FORMS = ("text", "json", "sarif", "junit", "markdown", "html")
LEVELS = ("error", "warning", "info")


@click.command()
@click.argument("files", nargs=-1, metavar="[FILE|DIR]...", type=click.Path(path_type=Path))
@click.option("--live", is_flag=True, help="Also audit the account of the credentials.")
@click.option(
    "--out",
    "outs",
    multiple=True,
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Also write the report to FILE, in the format of its extension: .json, .sarif, "
    ".xml (JUnit), .md, .html or .txt. Repeatable.",
)
@click.option(
    "-o",
    "--output",
    "form",
    type=click.Choice(FORMS),
    help="Output format.  [env: CML_IAM_OUTPUT; default: text]",
)
@click.option(
    "--fail-on",
    type=click.Choice(LEVELS),
    default="warning",
    show_default=True,
    help="Exit with 3 on findings of this severity or worse.",
)
@click.option(
    "--earlier",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Report what changed since FILE, an earlier report in JSON.",
)
@click.option(
    "--together", is_flag=True, help="Check all policies together, as attached to one principal."
)
@parameter_option
@document_option("The site's policy that is in force.")
@click.option(
    "--manager-profile",
    metavar="NAME",
    help="With --live: AWS profile of the manager, to try its permissions with DryRun.",
)
@click.option(
    "--skip",
    multiple=True,
    metavar="CHECK",
    help="Skip this check; the report says so. Repeatable.",
)
@click.option(
    "--accounts",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Audit the accounts in FILE, one ID a line, through a role in each.",
)
@click.option("--organization", is_flag=True, help="Audit every account of the organization.")
@click.option(
    "--role", metavar="NAME", help="Role to assume in each account.  [default: cml-iam-audit]"
)
@click.option("--external-id", metavar="ID", help="External ID that the role requires.")
@click.option(
    "--parallel",
    metavar="N",
    type=click.IntRange(1, 64),
    default=8,
    show_default=True,
    help="Number of accounts to audit at a time.",
)
@click.option(
    "--who-else",
    is_flag=True,
    help="With --live: also find who else may change the workers, the manager or the trail.",
)
@click.option(
    "--scps",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="With --who-else: service control policies, from the root to the account.",
)
@click.option(
    "--rules", "list_rules", is_flag=True, help="List every finding that an audit can report."
)
@shared_options("site")
@aws_options
@click.pass_context
def audit(
    context: click.Context,
    /,
    files: tuple[Path, ...],
    live: bool,
    outs: tuple[Path, ...],
    form: str | None,
    fail_on: str,
    earlier: Path | None,
    together: bool,
    document: Profile,
    manager_profile: str | None,
    skip: tuple[str, ...],
    accounts: Path | None,
    organization: bool,
    role: str | None,
    external_id: str | None,
    parallel: int,
    who_else: bool,
    scps: Path | None,
    list_rules: bool,
) -> None:
    """Check policies and accounts with every rule that cml-iam has, in one report.

    FILEs are policies, Markdown with policies in it, or any text (searched for access keys); a DIR
    stands for all its files. Without FILEs, checks the documents that the site renders. Only --live
    calls AWS, and only to read.

    Exits with 0 when nothing is found, with 3 on findings of --fail-on or worse, with 4 when AWS
    does not accept the credentials, with 5 when AWS does not answer, and with 8 when there are no
    such findings but something could not be checked.

    \b
    Examples:
      cml-iam audit policies/ --out report.sarif --out report.html
      cml-iam audit --live --manager-profile cml-manager --earlier last-week.json
    """  # noqa: D301 - click reads the backspace as "do not fill"
    from cml_iam.audit import About
    from cml_iam.audit.write import compare_reports
    from cml_iam.check.report import make_report
    from cml_iam.lint import Severity

    if list_rules:
        show_rules(form or settings().output)
        return
    many = organization or accounts is not None
    _check_skipped(skip)
    if organization and accounts:
        raise click.UsageError("give --accounts or --organization, not both")
    if not many and (role or external_id):
        raise click.UsageError("--role and --external-id need --accounts or --organization")
    others = _others(scps, who_else=who_else, of_account=live or many)
    if many and manager_profile:
        raise click.UsageError("--manager-profile belongs to one account; omit --accounts")
    if not (live or many):
        refuse_aws_options("--live")
    check_outs(outs)
    before = _earlier(earlier) if earlier else None
    now, (site, waivers) = moment(), _site(files)
    documents = (
        [_documents(files, site, document, together=together)]
        if files or not (live or many)
        else []
    )
    audited: list[tuple[Account, Answer]] = []
    if live or many:
        from cml_iam.check.scene import Live

        asked = Live(
            _required(site),
            now,
            document,
            skip=frozenset(skip),
            **others,
        )
        audited = (
            _many(asked, accounts, role, external_id, parallel)
            if many
            else [_live(asked, manager_profile)]
        )
    report = make_report(
        now,
        [*documents, *(answer for _, answer in audited)],
        site=waivers.file if waivers else None,
        accounts=[account for account, _ in audited],
        waivers=waivers,
        skipped=skip,
        about=About(site.account, site.principal_arn, document) if site else None,
    )
    if before is not None:
        report = replace(report, since=compare_reports(report, before))
    severity = Severity[fail_on.upper()]
    for path in outs:
        write_to(path, report, severity)
    show(report, form or settings().output, severity)
    concluded = report.conclusion(severity)
    context.exit(judged(findings=concluded == "findings", unchecked=concluded == "incomplete"))


def _others(scps: Path | None, *, who_else: bool, of_account: bool) -> dict[str, Any]:
    """Return the topics to ask about other principals; raises UsageError if not possible."""
    if who_else and not of_account:
        raise click.UsageError("--who-else needs --live")
    if scps and not who_else:
        raise click.UsageError("--scps needs --who-else")
    also = frozenset({"who-else"} if who_else else ())
    return {"also": also, "scps": read_json(scps) if scps else None}


def _check_skipped(skip: Iterable[str]) -> None:
    """Raise UsageError for an id that no check has."""
    from cml_iam.check import SKIPPABLE

    for each in skip:
        if each not in SKIPPABLE:
            known = ", ".join(SKIPPABLE)
            raise click.UsageError(f"no such check: `{each}`; the checks are {known}")


def _documents(
    files: tuple[Path, ...], site: Site | None, document: Profile, *, together: bool
) -> Answer:
    from cml_iam.check.documents import Offline, audit_documents
    from cml_iam.check.files import read_given

    given = read_given(files)
    with progress("judging the documents", only_on_terminal=True):
        several = os.cpu_count() or 1
        return audit_documents(
            Offline(given, site, document, together, several, site_path(), parameters())
        )


def _required(site: Site | None) -> Site:
    if site is None:
        raise InputError(
            f"no site file: `{DEFAULT_SITE}`",
            remedy="write one with `cml-iam init`, or name it: --site",
        )
    return site


def _many(
    asked: Live, accounts: Path | None, role: str | None, external_id: str | None, parallel: int
) -> list[tuple[Account, Answer]]:
    """Audit the accounts of the file or of the organization, and show progress."""
    from cml_iam.check.accounts import (
        DEFAULT_ROLE,
        Way,
        audit_accounts,
        list_organization,
        read_targets,
    )

    aws = connect_as("administrator", asked.site, any_account=True)
    if accounts:
        targets = read_targets(read_text(accounts), str(accounts))
    else:
        targets = list_organization(aws)
    way = Way(_sign_in(asked.site), role or DEFAULT_ROLE, external_id, parallel)
    context, done = click.get_current_context(), 0

    def report(account: Account) -> None:
        nonlocal done
        done += 1
        mark = OK if account.state == "audited" else UNKNOWN
        with context.scope(cleanup=False):  # what is said in a thread is said by this command
            note(f"{mark} {account.state} {account.id} ({done} of {len(targets)})")

    return list(audit_accounts(aws, targets, asked, way, report))


def _sign_in(site: Site) -> Callable[[TemporaryKey], Aws]:
    from cml_iam.aws import connect

    chosen = settings()

    def sign_in(key: TemporaryKey) -> Aws:
        return connect(
            region=chosen.region or site.home_region,
            endpoint_url=chosen.endpoint_url,
            read_only=True,
            access_key=key.id,
            secret_key=key.secret,
            session_token=key.token,
        )

    return sign_in


def _live(asked: Live, manager_profile: str | None) -> tuple[Account, Answer]:
    from cml_iam.check.account import audit_account

    site, manager = asked.site, None
    try:
        credential = (
            Credential(profile=manager_profile)
            if manager_profile
            else credential_in("manager", site)
        )
    except CmlIamError as error:
        note(f"{UNKNOWN} {error.message}")
        credential = None
    if credential and "use" not in asked.skip:
        manager = connect_as("manager", site, credential=credential, read_only=True)
    aws = connect_as("administrator", site)
    refuse_account_of_others(aws, site)
    with progress(f"auditing account {site.account}"):
        return audit_account(aws, replace(asked, manager=manager))


def _site(files: tuple[Path, ...]) -> tuple[Site | None, Waivers | None]:
    """Return the site where one is named or lies here, and its waivers; a site may be missing
    only where files are given.
    """  # noqa: D205 - one sentence
    from cml_iam.check.report import read_waivers
    from cml_iam.located import parse_toml

    if files and not has_site():
        return None, None
    site, path = load_site(), site_path()
    return site, read_waivers(parse_toml(read_text(path), str(path)), str(path))


def _earlier(path: Path) -> Report:
    from cml_iam.audit.write import read_report

    return read_report(read_text(path), str(path))


def moment() -> datetime:
    """Return the time of the report: now, or SOURCE_DATE_EPOCH for a reproducible report.

    https://reproducible-builds.org/specs/source-date-epoch/
    """
    given = os.environ.get("SOURCE_DATE_EPOCH")
    if given is None:
        return datetime.now(UTC)
    try:
        return datetime.fromtimestamp(int(given), UTC)
    except (ValueError, OverflowError, OSError):
        raise InputError(f"SOURCE_DATE_EPOCH is not a number of seconds: `{given}`") from None


def check_outs(paths: Iterable[Path]) -> None:
    """Raise InputError for an unusable report file, before the time of an audit is spent."""
    from cml_iam.audit.write import form_of

    for path in paths:
        form_of(path)
        if not path.parent.is_dir():
            raise InputError(f"cannot write `{path}`: no such folder: `{path.parent}`")


def write_to(path: Path, report: Report, fail_on: Severity) -> None:
    """Write *report* to *path*, in the format of its name; raises InputError."""
    from cml_iam.audit.write import form_of, write_report

    text = write_report(report, form_of(path), fail_on=fail_on)
    try:
        path.write_text(text, "utf-8")
    except OSError as error:
        raise InputError(f"cannot write `{path}`: {error.strerror}") from None
    note(f"{OK} {path}")


def show(report: Report, form: Any, fail_on: Severity) -> None:
    """Print *report* on stdout."""
    from cml_iam.audit.write import write_report

    width = console().width if form == "text" and sys.stdout.isatty() else None
    text = write_report(report, form, fail_on=fail_on, width=width)
    if form != "text":
        click.echo(text, nl=False)
        return
    for line in text.splitlines():
        say(line)


def show_rules(form: str) -> None:
    """Print every possible finding: lint's rules, then the audit's."""
    from cml_iam.audit import audit_rules
    from cml_iam.cli.policy_rules import print_rules, rule_json
    from cml_iam.lint import lint_rules

    rules: tuple[Rule | AuditRule, ...] = (*lint_rules(), *audit_rules().values())
    if form == "json":
        print_json([rule_json(each) | {"remedy": getattr(each, "remedy", None)} for each in rules])
    else:
        print_rules(rules)
