"""`cml-iam audit`: all checks of files or accounts, in one report."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from cml_iam.cli._exit import judged
from cml_iam.cli._files import parameter_option, parameters, read_json, read_text
from cml_iam.cli._options import (
    FILE,
    aws_options,
    option,
    output_option,
    refuse_aws_options,
    repeatable,
    shared_options,
)
from cml_iam.cli._output import OK, UNKNOWN, answer, note, progress, terminal_width
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
from cml_iam.secret import Secret

if TYPE_CHECKING:
    from cml_iam.audit import Account, AuditRule, Report
    from cml_iam.audit.write import Form
    from cml_iam.aws.port import Aws
    from cml_iam.check.answer import Answer
    from cml_iam.check.report import WaiverEntry
    from cml_iam.check.scene import AccountScene
    from cml_iam.lint import Rule
    from cml_iam.site import Site

FORMS: Final[tuple[Form, ...]] = ("sarif", "junit", "markdown", "html")
"""The formats of a report beside text and JSON."""


@click.argument("files", nargs=-1, metavar="[FILE|DIR]...", type=FILE)
@option("--live", "Also audit the account of the credentials.")
@repeatable(
    "--out FILE",
    "Also write the report to FILE, in the format of its extension: .json, .sarif, .xml "
    "(JUnit), .md, .html or .txt.",
    name="outs",
    type=click.Path(path_type=Path, dir_okay=False),
)
@output_option(*FORMS)
@fail_on_option
@option("--earlier FILE", "Report what changed since FILE, an earlier report in JSON.", type=FILE)
@together_option
@parameter_option
@document_option("Policy document of the site that is in force.")
@option(
    "--manager-profile NAME",
    "With --live: AWS profile of the manager, to try its permissions with DryRun.",
)
@repeatable("--skip CHECK", "Skip this check; the report says so.")
@option(
    "--accounts FILE",
    "Audit the accounts in FILE, one ID a line, through a role in each.",
    type=FILE,
)
@option("--organization", "Audit every account of the organization.")
@option("--role NAME", "Role to assume in each account.  [default: cml-iam-audit]")
@option("--external-id ID", "External ID that the role requires.")
@option(
    "--parallel N", "Number of accounts to audit at a time.", type=click.IntRange(1, 64), default=8
)
@option(
    "--who-else",
    "With --live: also find who else may change the workers, the manager or the trail.",
)
@option(
    "--scps FILE",
    "With --who-else: service control policies, from the root to the account.",
    type=FILE,
)
@option("--rules", "List every finding that an audit can report.", name="list_rules")
@shared_options("site")
@aws_options
def audit(list_rules: bool, **options: Any) -> None:
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
    from cml_iam.audit.write import form_of, write_report
    from cml_iam.lint import Severity

    if list_rules:
        _answer_rules()
        return
    options["several"] = bool(options["organization"] or options["accounts"])
    options["live"] = options["live"] or options["several"]
    _refuse_contradictions(options)
    outs, severity = options["outs"], Severity[options["fail_on"].upper()]
    _check_outs(outs)
    report = _audited(options)
    written = partial(write_report, report, fail_on=severity)
    for path in outs:
        path.write_text(written(form_of(path)), "utf-8")
        note(f"{OK} {path}")
    concluded = report.conclusion(severity)
    code = judged(findings=concluded == "findings", unchecked=concluded == "incomplete")
    forms: dict[str, Any] = {form: partial(written, form) for form in ("json", *FORMS)}

    def lines() -> Iterator[str]:
        yield from written("text", width=terminal_width()).splitlines()

    answer(report, lines(), code, **forms)


def _refuse_contradictions(options: Mapping[str, Any]) -> None:
    """Raise UsageError for options that exclude each other, and for a check that does not exist."""
    from cml_iam.check.checks import SKIPPABLE

    for check in options["skip"]:
        if check not in SKIPPABLE:
            checks = ", ".join(SKIPPABLE)
            raise click.UsageError(f"no such check: `{check}`; the checks are {checks}")
    live, several = options["live"], options["several"]
    contradictions = {
        "give --accounts or --organization, not both": options["organization"]
        and options["accounts"],
        "--role and --external-id need --accounts or --organization": not several
        and (options["role"] or options["external_id"]),
        "--who-else needs --live": options["who_else"] and not live,
        "--scps needs --who-else": options["scps"] and not options["who_else"],
        "--manager-profile belongs to one account; omit --accounts": several
        and options["manager_profile"],
    }
    for message, contradicted in contradictions.items():
        if contradicted:
            raise click.UsageError(message)
    if not live:
        refuse_aws_options("--live")


def _check_outs(paths: Iterable[Path]) -> None:
    """Raise InputError for an unusable report file before the audit starts."""
    from cml_iam.audit.write import form_of

    for path in paths:
        form_of(path)
        if not path.parent.is_dir():
            raise InputError(f"cannot write `{path}`: no such folder: `{path.parent}`")


def _audited(options: Mapping[str, Any]) -> Report:
    """Return the report of the files and accounts, and of what changed since the earlier one."""
    from cml_iam.audit import About
    from cml_iam.audit.write import compare_reports, read_report
    from cml_iam.check.report import make_report

    files, earlier, document = options["files"], options["earlier"], options["document"]
    scps = read_json(options["scps"]) if options["scps"] else None
    before = read_report(read_text(earlier), str(earlier)) if earlier else None
    now, (site, waivers) = _now(), _site(files)
    of_files = [_documents(options, site)] if files or not options["live"] else []
    audited = _accounts(options, site, now, scps) if options["live"] else []
    report = make_report(
        now,
        [*of_files, *(answer for _, answer in audited)],
        site=str(site_path()) if site else None,
        accounts=[account for account, _ in audited],
        waivers=waivers,
        skipped=options["skip"],
        about=About(site.account, site.principal_arn, document) if site else None,
    )
    return report if before is None else replace(report, since=compare_reports(report, before))


def _site(files: tuple[Path, ...]) -> tuple[Site | None, tuple[WaiverEntry, ...]]:
    """Return the site, or None if *files* are given and no site exists; and its waivers.

    Raises SiteError if the site file is missing or has faults.
    """
    from cml_iam.check.report import read_waivers
    from cml_iam.located import parse_toml

    if files and not has_site():
        return None, ()
    site, path = load_site(), site_path()
    return site, read_waivers(parse_toml(read_text(path), str(path)), str(path))


def _now() -> datetime:
    """Return the time of the report: now, or SOURCE_DATE_EPOCH for a reproducible report.

    https://reproducible-builds.org/specs/source-date-epoch/
    """
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    if epoch is None:
        return datetime.now(UTC)
    try:
        return datetime.fromtimestamp(int(epoch), UTC)
    except (ValueError, OverflowError, OSError):
        raise InputError(f"SOURCE_DATE_EPOCH is not a number of seconds: `{epoch}`") from None


def _documents(options: Mapping[str, Any], site: Site | None) -> Answer:
    from cml_iam.check.documents import Offline, audit_documents
    from cml_iam.check.files import read_files

    files = read_files(options["files"])
    with progress("judging the documents", only_on_terminal=True):
        processes = os.cpu_count() or 1
        document, together = options["document"], options["together"]
        offline = Offline(files, site, document, together, processes, site_path(), parameters())
        return audit_documents(offline)


def _accounts(
    options: Mapping[str, Any], site: Site | None, now: datetime, scps: Any
) -> list[tuple[Account, Answer]]:
    from cml_iam.check.account import audit_account
    from cml_iam.check.scene import AccountScene

    if site is None:
        raise InputError(
            f"no site file: `{DEFAULT_SITE}`",
            remedy="write one with `cml-iam init`, or name it: --site",
        )
    also = frozenset({"who-else"} if options["who_else"] else ())
    skip, several = frozenset(options["skip"]), options["several"]
    manager = None
    if "use" not in skip and not several:
        manager = connect_beside("manager", site, options["manager_profile"])
    aws = connect_as("administrator", site, any_account=several)
    scene = AccountScene(aws, site, now, options["document"], manager, skip, also, scps)
    if several:
        return _many(scene, options)
    refuse_account_of_others(aws, site)
    with progress(f"auditing account {site.account}"):
        return [audit_account(scene)]


def _many(scene: AccountScene, options: Mapping[str, Any]) -> list[tuple[Account, Answer]]:
    from cml_iam.check.account import (
        DEFAULT_ROLE,
        audit_accounts,
        enter_role,
        list_organization,
        read_targets,
    )

    file = options["accounts"]
    targets = read_targets(read_text(file), str(file)) if file else list_organization(scene.aws)
    enter = partial(
        enter_role,
        role=options["role"] or DEFAULT_ROLE,
        external_id=options["external_id"],
        sign_in=_sign_in(scene.site),
    )
    context, done = click.get_current_context(), 0

    def report(account: Account) -> None:
        nonlocal done
        done += 1
        mark = OK if account.state == "audited" else UNKNOWN
        with context.scope(cleanup=False):  # a thread has no context of its own
            note(f"{mark} {account.state} {account.id} ({done} of {len(targets)})")

    return list(audit_accounts(scene, targets, enter, options["parallel"], report))


def _sign_in(site: Site) -> Callable[[str, Secret, Secret], Aws]:
    context = click.get_current_context()

    def sign_in(key_id: str, secret: Secret, token: Secret) -> Aws:
        with context.scope(cleanup=False):  # a thread has no context of its own
            return connect_with(
                site,
                read_only=True,
                access_key=key_id,
                secret_key=secret,
                session_token=token,
            )

    return sign_in


def _answer_rules() -> None:
    from cml_iam.audit import audit_rules
    from cml_iam.cli.policy_lists import print_rules
    from cml_iam.lint import lint_rules

    rules: tuple[Rule | AuditRule, ...] = (*lint_rules(), *audit_rules().values())
    rows = [{"remedy": None} | rule.as_json() for rule in rules]
    answer(rows, lambda: print_rules(rules))
