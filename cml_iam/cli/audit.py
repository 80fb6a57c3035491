"""`cml-iam audit`: all checks of files or accounts, in one report."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from cml_iam.cli._exit import judged
from cml_iam.cli._files import parameter_option, parameters, read_json, read_text
from cml_iam.cli._output import OK, UNKNOWN, answer, note, progress, say_lines, terminal_width
from cml_iam.cli._settings import (
    FILE,
    aws_options,
    output_option,
    refuse_aws_options,
    shared_options,
)
from cml_iam.cli._site import (
    DEFAULT_SITE,
    connect_as,
    connect_beside,
    connect_with,
    document_option,
    has_site,
    load_site,
    refuse_account_of_others,
    site_path,
)
from cml_iam.cli.policy_lint import fail_on_option, together_option
from cml_iam.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from cml_iam.audit import Account, AuditRule, Report
    from cml_iam.audit.write import Form
    from cml_iam.aws.port import Aws
    from cml_iam.check.account import TemporaryKey
    from cml_iam.check.answer import Answer
    from cml_iam.check.report import Waivers
    from cml_iam.check.scene import Live
    from cml_iam.lint import Rule, Severity
    from cml_iam.render import Profile
    from cml_iam.site import Site

FORMS: Final[tuple[Form, ...]] = ("sarif", "junit", "markdown", "html")
"""The formats of a report beside text and JSON."""


@click.argument("files", nargs=-1, metavar="[FILE|DIR]...", type=FILE)
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
@output_option(*FORMS)
@fail_on_option
@click.option(
    "--earlier",
    metavar="FILE",
    type=FILE,
    help="Report what changed since FILE, an earlier report in JSON.",
)
@together_option
@parameter_option
@document_option("Policy document of the site that is in force.")
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
    type=FILE,
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
    type=FILE,
    help="With --who-else: service control policies, from the root to the account.",
)
@click.option(
    "--rules", "list_rules", is_flag=True, help="List every finding that an audit can report."
)
@shared_options("site")
@aws_options
def audit(list_rules: bool, **given: Any) -> None:
    """Check policies and accounts with every rule that cml-iam has, in one report.

    FILEs are policies, Markdown with policies in it, or any text (searched for access keys); a DIR
    stands for all its files. Without FILEs, checks the documents that the site renders. Only --live
    calls AWS, and only to read.

    Exits with 0 when nothing is found, with 3 on findings of --fail-on or worse, with 4 when AWS
    does not accept the credentials, with 5 when AWS does not answer, and with 8 when there are no
    such findings but something could not be checked.

    Examples:
      cml-iam audit policies/ --out report.sarif --out report.html
      cml-iam audit --live --manager-profile cml-manager --earlier last-week.json
    """
    from cml_iam.audit.write import write_report
    from cml_iam.lint import Severity

    if list_rules:
        answer_rules()
        return
    options = Options(**given)
    options.refuse_contradictions()
    check_outs(options.outs)
    report, severity = _audited(options), Severity[options.fail_on.upper()]
    for path in options.outs:
        write_to(path, report, severity)
    concluded = report.conclusion(severity)
    code = judged(findings=concluded == "findings", unchecked=concluded == "incomplete")
    written = partial(write_report, report, fail_on=severity)
    forms = {form: partial(written, form) for form in FORMS}
    answer(report, lambda: show(report, severity), code, json=partial(written, "json"), **forms)


@dataclass(frozen=True, slots=True)
class Options:
    """The subject of an audit, according to the options of the command."""

    files: tuple[Path, ...]
    live: bool
    outs: tuple[Path, ...]
    fail_on: str
    earlier: Path | None
    together: bool
    document: Profile
    manager_profile: str | None
    skip: tuple[str, ...]
    accounts: Path | None
    organization: bool
    role: str | None
    external_id: str | None
    parallel: int
    who_else: bool
    scps: Path | None

    @property
    def several(self) -> bool:
        """Whether accounts are audited through a role in each."""
        return self.organization or self.accounts is not None

    @property
    def calls_aws(self) -> bool:
        """Whether any account is audited."""
        return self.live or self.several

    def refuse_contradictions(self) -> None:
        """Raise UsageError for options that exclude each other."""
        _check_skipped(self.skip)
        if self.organization and self.accounts:
            raise click.UsageError("give --accounts or --organization, not both")
        if not self.several and (self.role or self.external_id):
            raise click.UsageError("--role and --external-id need --accounts or --organization")
        if self.who_else and not self.calls_aws:
            raise click.UsageError("--who-else needs --live")
        if self.scps and not self.who_else:
            raise click.UsageError("--scps needs --who-else")
        if self.several and self.manager_profile:
            raise click.UsageError("--manager-profile belongs to one account; omit --accounts")
        if not self.calls_aws:
            refuse_aws_options("--live")


def _audited(options: Options) -> Report:
    """Return the report of the files, of the accounts, and of what changed since the earlier."""
    from cml_iam.audit import About
    from cml_iam.audit.write import compare_reports
    from cml_iam.check.report import make_report

    scps = read_json(options.scps) if options.scps else None
    before = _earlier(options.earlier) if options.earlier else None
    now, (site, waivers) = moment(), _site(options.files)
    of_files = [_documents(options, site)] if options.files or not options.calls_aws else []
    audited = _accounts(options, site, now, scps) if options.calls_aws else []
    report = make_report(
        now,
        [*of_files, *(answer for _, answer in audited)],
        site=waivers.file if waivers else None,
        accounts=[account for account, _ in audited],
        waivers=waivers,
        skipped=options.skip,
        about=About(site.account, site.principal_arn, options.document) if site else None,
    )
    return report if before is None else replace(report, since=compare_reports(report, before))


def _accounts(
    options: Options, site: Site | None, now: datetime, scps: Any
) -> list[tuple[Account, Answer]]:
    from cml_iam.check.scene import Live

    also = frozenset({"who-else"} if options.who_else else ())
    skip = frozenset(options.skip)
    asked = Live(_required(site), now, options.document, skip=skip, also=also, scps=scps)
    return _many(asked, options) if options.several else [_live(asked, options.manager_profile)]


def _check_skipped(skip: Iterable[str]) -> None:
    """Raise UsageError for an id that no check has."""
    from cml_iam.check.checks import SKIPPABLE

    for each in skip:
        if each not in SKIPPABLE:
            known = ", ".join(SKIPPABLE)
            raise click.UsageError(f"no such check: `{each}`; the checks are {known}")


def _documents(options: Options, site: Site | None) -> Answer:
    from cml_iam.check.documents import Offline, audit_documents
    from cml_iam.check.files import read_given

    given = read_given(options.files)
    with progress("judging the documents", only_on_terminal=True):
        several = os.cpu_count() or 1
        return audit_documents(
            Offline(
                given,
                site,
                options.document,
                options.together,
                several,
                site_path(),
                parameters(),
            )
        )


def _required(site: Site | None) -> Site:
    if site is None:
        raise InputError(
            f"no site file: `{DEFAULT_SITE}`",
            remedy="write one with `cml-iam init`, or name it: --site",
        )
    return site


def _many(asked: Live, options: Options) -> list[tuple[Account, Answer]]:
    """Audit the accounts of the file or of the organization, and show progress."""
    from cml_iam.check.account import (
        DEFAULT_ROLE,
        Way,
        audit_accounts,
        list_organization,
        read_targets,
    )

    aws = connect_as("administrator", asked.site, any_account=True)
    if options.accounts:
        targets = read_targets(read_text(options.accounts), str(options.accounts))
    else:
        targets = list_organization(aws)
    role = options.role or DEFAULT_ROLE
    way = Way(_sign_in(asked.site), role, options.external_id, options.parallel)
    context, done = click.get_current_context(), 0

    def report(account: Account) -> None:
        nonlocal done
        done += 1
        mark = OK if account.state == "audited" else UNKNOWN
        with context.scope(cleanup=False):  # what is said in a thread is said by this command
            note(f"{mark} {account.state} {account.id} ({done} of {len(targets)})")

    return list(audit_accounts(aws, targets, asked, way, report))


def _sign_in(site: Site) -> Callable[[TemporaryKey], Aws]:
    context = click.get_current_context()

    def sign_in(key: TemporaryKey) -> Aws:
        with context.scope(cleanup=False):  # a thread has no context of its own
            return connect_with(
                site,
                read_only=True,
                access_key=key.id,
                secret_key=key.secret,
                session_token=key.token,
            )

    return sign_in


def _live(asked: Live, manager_profile: str | None) -> tuple[Account, Answer]:
    from cml_iam.check.account import audit_account

    site, manager = asked.site, None
    if "use" not in asked.skip:
        manager = connect_beside("manager", site, manager_profile)
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
    """Raise InputError for an unusable report file before the audit starts."""
    from cml_iam.audit.write import form_of

    for path in paths:
        form_of(path)
        if not path.parent.is_dir():
            raise InputError(f"cannot write `{path}`: no such folder: `{path.parent}`")


def write_to(path: Path, report: Report, fail_on: Severity) -> None:
    """Write *report* to *path*, in the format of its name."""
    from cml_iam.audit.write import form_of, write_report

    text = write_report(report, form_of(path), fail_on=fail_on)
    path.write_text(text, "utf-8")
    note(f"{OK} {path}")


def show(report: Report, fail_on: Severity) -> None:
    """Print *report* as text."""
    from cml_iam.audit.write import write_report

    text = write_report(report, "text", fail_on=fail_on, width=terminal_width())
    say_lines(text.splitlines())


def answer_rules() -> None:
    """Print every possible finding: lint's rules, then the audit's."""
    from cml_iam.audit import audit_rules
    from cml_iam.cli.policy_render import print_rules
    from cml_iam.lint import lint_rules

    rules: tuple[Rule | AuditRule, ...] = (*lint_rules(), *audit_rules().values())
    told = [{"remedy": None} | rule.as_json() for rule in rules]
    answer(told, lambda: print_rules(rules))
