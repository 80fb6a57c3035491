"""Where access keys are: stores, and `key deliver`, `exec`, `credential-process` and `print`."""

from __future__ import annotations

import functools
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NoReturn

import click

from cml_iam import clock, credentials
from cml_iam.cli._options import (
    FILE,
    Heading,
    aws_options,
    length_or_zero,
    option,
    options,
    settings,
    shared_options,
)
from cml_iam.cli._output import INFO, OK, WARN, agreed, answer, note
from cml_iam.cli._site import (
    connect_as,
    connect_with,
    expected_account,
    find_site,
    load_site,
    own_store,
)
from cml_iam.cli.groups import Command
from cml_iam.errors import InputError, RefusedError

if TYPE_CHECKING:
    from cml_iam.aws.port import Aws
    from cml_iam.site import Site

_store_option = functools.partial(option, heading=Heading.STORES)

STORE_HELP = (
    "Store of the key: env:PATH, profile:NAME, k8s:FILE[#[NAMESPACE/]NAME], "
    "secretsmanager:NAME or ssm:NAME. Repeatable.  [default: the --env-file]"
)
to_option = _store_option("--to STORE", STORE_HELP, multiple=True)

file_options = options(
    _store_option(
        "--env-file",
        "File that holds the user's access key.  [default: `credentials.manager` of the site file, "
        "else .env]",
        type=FILE,
    ),
    _store_option("--allow-tracked", "Allow a key file that git does not ignore."),
)
"""The options that name the key file."""


@dataclass(frozen=True, slots=True)
class Where:
    """The stores given to a command: *to*, otherwise *env_file*, otherwise the site's."""

    env_file: Path | None
    allow_tracked: bool
    to: tuple[str, ...] = ()

    @property
    def texts(self) -> tuple[str, ...]:
        """The stores as written by the user."""
        return self.to or (own_store(self.env_file),)

    def check(self) -> None:
        """Raise InputError for a file without a folder; that of a profile is created if missing."""
        for file in map(credentials.file_of_store, self.texts):
            if file is not None and not file.parent.is_dir():
                raise InputError(
                    f"cannot write `{file}`: no such folder: `{file.parent}`",
                    remedy="create the folder, or name another one",
                )

    def open(self, aws: Aws) -> credentials.Store:
        """Return the stores as one; *aws* accesses those inside AWS."""
        stores = tuple(
            credentials.open_store(text, lambda: aws, allow_tracked=self.allow_tracked)
            for text in self.texts
        )
        return stores[0] if len(stores) == 1 else credentials.Together(stores)


def _with_where(command: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(command)
    def called(
        *, env_file: Path | None, allow_tracked: bool, to: tuple[str, ...], **others: Any
    ) -> Any:
        return command(where=Where(env_file, allow_tracked, to), **others)

    return called


key_options = options(
    file_options, to_option, _with_where, aws_options, shared_options("site", "output")
)
"""The options that all key commands share; a command receives the stores as *where*."""

_phase_option = functools.partial(option, type=length_or_zero)
schedule_options = options(
    _phase_option(
        "--overlap TIME",
        "Time that both keys stay active; the old key must be unused for this long.",
        default="1d",
    ),
    _phase_option(
        "--cool-off TIME", "Time the old key stays inactive before it is deleted.", default="7d"
    ),
    _phase_option("--max-age TIME", "Maximum age of an active key.", default="90d"),
)
"""The options for the duration of each phase."""


def delivery_of(
    site: Site, store: credentials.Store, *, proved: bool = False, health_url: str | None = None
) -> credentials.Delivery:
    """Return the delivery to *store*.

    With *proved*, a new key must pass its test before it is used, and the application at
    *health_url* must be healthy.
    """

    def sign_in(key: credentials.AccessKey) -> Aws:
        return connect_with(
            site, profile=settings().profile, access_key=key.id, secret_key=key.secret
        )

    def prove(key: credentials.AccessKey) -> None:
        credentials.prove_key(sign_in, key, site, report=_report)
        if health_url is not None:
            credentials.ask_health(health_url)

    return credentials.Delivery(store, sign_in, prove if proved else None)


def _report(text: str) -> None:
    note(f"{INFO} {text}")


def user_of(site: Site) -> str:
    """Return the name of the site's user; raises InputError for a role."""
    if site.user is None:
        raise InputError(
            f"the site's principal is the role `{site.role}`, which has no access keys"
        )
    return site.user


def rotator_of(
    where: Where, spans: dict[str, timedelta] | None = None, health_url: str | None = None
) -> credentials.Rotator:
    """Return the rotator of the site's user for the stores of *where*."""
    site = load_site()
    user = user_of(site)
    where.check()
    aws = connect_as("administrator", site)
    return credentials.Rotator(
        aws=aws,
        user=user,
        delivery=delivery_of(site, where.open(aws), proved=True, health_url=health_url),
        schedule=credentials.Schedule(**(spans or {})),
        clock=clock.now,
        pause=time.sleep,
        report=_report,
    )


@key_options
@option(
    "--from STORE",
    "Copy the key from this store.  [default: the first working key in the stores]",
    name="source",
)
@shared_options("yes", "dry_run")
def deliver(where: Where, source: str | None) -> None:
    """Write one working key to every store named with --to, and read it back from each.

    Uses the key in --from; otherwise the one in --env-file if that exists; otherwise the first
    working key in the --to stores. If none of these has a working key, creates one. Every store has
    the new key beside the old one before any of them uses it.

    Examples:
      cml-iam key deliver --to env:.env --to profile:cml-manager
      cml-iam key deliver --from env:.env --to secretsmanager:cml/manager
    """
    if not where.to:
        raise InputError("no store to deliver to", remedy="name one or more: --to STORE")
    site = load_site()
    where.check()
    user, aws = user_of(site), connect_as("administrator", site)
    store = replace(where, to=_with_source(where, source)).open(aws)
    delivery = delivery_of(site, store)
    arn = credentials.read_user(aws, user).arn
    if settings().dry_run:
        _tell(credentials.plan_key(aws, user, arn, delivery), None, store)
        return
    with credentials.store_locked(store):
        plan = credentials.plan_key(aws, user, arn, delivery)
        for word in plan.words:
            note(f"{INFO} {word}")
        if plan.changes and not agreed(aws, f"{_action(plan)} in {store.name}?"):
            return
        key_id = credentials.deliver(aws, plan, delivery, pause=time.sleep)
    _tell(plan, key_id, store)


def _with_source(where: Where, source: str | None) -> tuple[str, ...]:
    """Return the stores, starting with the one that the key comes from."""
    if source is None:
        kind, _, name = own_store(where.env_file).partition(":")
        source = f"{kind}:{name}" if kind == "env" and Path(name).exists() else None
    rest = tuple(store for store in where.to if store != source)
    return (source, *rest) if source else rest


def _action(plan: credentials.KeyPlan) -> str:
    if plan.action == "create":
        return f"create a new key for {plan.user} and put it"
    return f"put {plan.key_id}"


def _tell(plan: credentials.KeyPlan, key_id: str | None, store: credentials.Store) -> None:
    done = key_id is not None
    words = store.afterwards() if done and plan.changes else ()
    line = f"{INFO} would {_action(plan)} in {plan.store}"
    if not plan.changes:
        line = f"{OK} nothing to do: {plan.key_id} is in {plan.store}"
    elif done:
        line = f"{OK} access key {key_id} is in {plan.store}"
    result = {
        "done": done,
        "action": plan.action,
        "deletes": [key for key in (*plan.orphans, plan.room) if key],
        "key_id": key_id or plan.key_id,
        "stores": plan.store.split(", "),
        "afterwards": words,
    }
    answer(result, [line, *(f"{WARN} {word}" for word in words)])


_source_options = options(
    option(
        "--from STORE",
        "Read the key from this store, written as in `key deliver --to`.  [default: "
        "`credentials.manager` of the site file, else env:.env]",
        name="source",
    ),
    aws_options,
    shared_options("site"),
)


@click.command(
    cls=Command,
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
)
@_source_options
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def execute(source: str | None, command: tuple[str, ...]) -> NoReturn:
    """Run COMMAND with the key in its environment, and nowhere else.

    COMMAND replaces this process, so its exit code is the result.

    Examples:
      cml-iam key exec -- docker compose up -d
    """
    environment = credentials.child_environment(_key(source), os.environ)
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        os.execvpe(command[0], list(command), environment)  # noqa: S606 - no shell is wanted
    except OSError as error:
        raise InputError(f"cannot run `{command[0]}`: {error.strerror}") from None


@_source_options
@option(
    "--refresh TIME",
    "Time after which the SDK asks for the key again; keep it shorter than --overlap of "
    "`key rotate`.",
    type=length_or_zero,
    default="1h",
)
@option("--unsafe-stdout", "Print the secret even to a terminal.")
def credential_process(source: str | None, refresh: timedelta, unsafe_stdout: bool) -> None:
    """Print the key for the `credential_process` setting of a profile in ~/.aws/config.

    An SDK that asks again after --refresh picks up a rotation without a restart.

    Examples:
      cml-iam key credential-process --from profile:cml-manager
    """
    _refuse_terminal(unsafe_stdout)
    click.echo(credentials.process_answer(_key(source), datetime.now(UTC) + refresh))


@_source_options
@option(
    "--as",
    "Output format: a manifest for `kubectl apply --server-side -f -`, or shell commands.",
    name="form",
    type=click.Choice(["kubernetes", "export"]),
    required=True,
)
@option("--name NAME", "Name of the Secret.  [default: cml-iam-credentials]")
@option("--namespace NAME", "Namespace of the Secret.  [default: kubectl's current one]")
@option("--unsafe-stdout", "Print the secret even to a terminal.")
def print_key(
    source: str | None,
    form: Literal["kubernetes", "export"],
    name: str | None,
    namespace: str | None,
    unsafe_stdout: bool,
) -> None:
    """Print the key, with its secret, for a program that reads standard input.

    On a terminal, and always for shell commands, this needs --unsafe-stdout, because a scroll-back,
    a history or a log may keep the output.

    Examples:
      cml-iam key print --as kubernetes | kubectl apply --server-side -f -
    """
    _refuse_terminal(unsafe_stdout, always=form == "export")
    key = _key(source)
    if form == "export":
        click.echo(credentials.export_lines(key))
        return
    named = {"name": name} if name else {}
    click.echo(credentials.Manifest(**named, namespace=namespace).text(key), nl=False)


def _refuse_terminal(allowed: bool, *, always: bool = False) -> None:
    if (always or sys.stdout.isatty()) and not allowed:
        raise RefusedError(
            "this would print the secret of an access key",
            remedy="pipe it into the program that needs it, use `key exec`, or add --unsafe-stdout",
        )


def _key(source: str | None) -> credentials.AccessKey:
    expected = expected_account(find_site())
    store = credentials.open_store(
        source or own_store(), lambda: connect_as("administrator", find_site()), allow_tracked=True
    )
    key = store.look().key
    if key is None or not key.secret.reveal():
        raise InputError(
            f"`{store.name}` has no access key", remedy="name a store with a key: --from STORE"
        )
    # The id contains the account, except for keys made before 2019.
    account = credentials.account_of(key.id)
    if expected and account and account != expected:
        raise RefusedError(
            f"the key in `{store.name}` belongs to account `{account}`, but account `{expected}` "
            "is expected",
            remedy="name a store with a key of the expected account (--from), or the site file "
            "for the key's account (--site)",
        )
    return key
