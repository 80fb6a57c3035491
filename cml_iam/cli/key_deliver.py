"""`cml-iam key deliver`: one working key in every store named."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cml_iam.cli._ask import agreed
from cml_iam.cli._connect import connect_as
from cml_iam.cli._delivery import delivery_of, own_store, stores_from
from cml_iam.cli._output import INFO, OK, WARN, note, print_json, say, wants_json
from cml_iam.cli._rotator import key_options, user_of
from cml_iam.cli._settings import settings, shared_options
from cml_iam.cli._site import load_site
from cml_iam.errors import InputError

if TYPE_CHECKING:
    from cml_iam.cli._delivery import Where
    from cml_iam.credentials import KeyPlan, Store


@click.command()
@key_options
@click.option("--from", "source", metavar="STORE", help="The store whose key the others get.")
@shared_options("yes", "dry_run")
def deliver(where: Where, source: str | None) -> None:
    """Put one working key into every store named with --to, and read it back in each.

    It is the key of --from, without that the one in the --env-file if there is such a file, else
    the first that works in a store named. Where none holds a working key a new one is made. All
    stores hold it beside the old one before any of them puts it to use.
    """
    from cml_iam.credentials import deliver as carry_out
    from cml_iam.credentials import plan_key, read_user, store_locked

    if not where.to:
        raise InputError("no store to deliver to", remedy="name one or more: --to STORE")
    site = load_site()
    where.check()
    user, aws = user_of(site), connect_as("administrator", site)
    store = stores_from(replace(where, to=_with_source(where, source)), aws)
    delivery = delivery_of(site, store)
    arn = read_user(aws, user).arn
    if settings().dry_run:
        _tell(plan_key(aws, user, arn, delivery), None, store)
        return
    with store_locked(store):
        plan = plan_key(aws, user, arn, delivery)
        for word in plan.words:
            note(f"{INFO} {word}")
        if plan.changes and not agreed(aws, f"{_action(plan)} in {store.name}?"):
            note(f"{WARN} nothing was changed")
            return
        key_id = carry_out(aws, plan, delivery, pause=time.sleep)
    _tell(plan, key_id, store)


def _with_source(where: Where, source: str | None) -> tuple[str, ...]:
    """Return the stores, the one the key comes from first."""
    if source is None:
        kind, _, name = own_store(where.env_file).partition(":")
        source = f"{kind}:{name}" if kind == "env" and Path(name).exists() else None
    rest = tuple(each for each in where.to if each != source)
    return (source, *rest) if source else rest


def _action(plan: KeyPlan) -> str:
    if plan.action == "create":
        return f"make a new key of {plan.user} and put it"
    return f"put {plan.key_id}"


def _tell(plan: KeyPlan, key_id: str | None, store: Store) -> None:
    done = key_id is not None
    words = store.afterwards() if done and plan.changes else ()
    if wants_json():
        answer: dict[str, Any] = {
            "done": done,
            "action": plan.action,
            "deletes": [key for key in (*plan.orphans, plan.room) if key],
            "key_id": key_id or plan.key_id,
            "stores": plan.store.split(", "),
            "afterwards": list(words),
        }
        print_json(answer)
    elif not plan.changes:
        say(f"{OK} nothing to do: {plan.key_id} is in {plan.store}")
    elif done:
        say(f"{OK} access key {key_id} is in {plan.store}")
    else:
        say(f"{INFO} would {_action(plan)} in {plan.store}")
    if not wants_json():
        for word in words:
            say(f"{WARN} {word}")
