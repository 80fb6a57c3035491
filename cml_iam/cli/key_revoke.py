"""`cml-iam key revoke` and `key delete`: take a key out of the world."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click

from cml_iam.cli._ask import agreed
from cml_iam.cli._output import OK, WARN, note, print_json, say, wants_json
from cml_iam.cli._rotator import key_options, rotator_of
from cml_iam.cli._settings import settings, shared_options
from cml_iam.cli.key_rotate import tell_step
from cml_iam.errors import InputError

if TYPE_CHECKING:
    from cml_iam.cli._delivery import Where
    from cml_iam.credentials import Revoked

_KEY_ID = re.compile(r"[A-Z0-9]{16,128}")


def _check(key_id: str) -> None:
    """Refuse what cannot be the id of an access key, before anything is asked.

    https://docs.aws.amazon.com/IAM/latest/APIReference/API_AccessKey.html
    """
    if _KEY_ID.fullmatch(key_id) is None:
        raise InputError(
            f"not an access key id: `{key_id}`", remedy="`cml-iam key list` shows the ids"
        )


@click.command()
@click.argument("key_id", metavar="KEY_ID")
@key_options
@shared_options("yes", "dry_run")
def revoke(key_id: str, where: Where) -> None:
    """Make a leaked key inactive at once; the one in the stores is replaced.

    The key is kept, inactive, so that its use can be looked at; `key delete` removes it. It is
    deleted only where it was in the stores and there is no room for its replacement beside it.
    """
    from cml_iam.credentials import revocation_step
    from cml_iam.credentials import revoke as take

    _check(key_id)
    rotator = rotator_of(where)
    if settings().dry_run:
        tell_step(revocation_step(rotator, key_id))
        return
    if not agreed(rotator.aws, f"make {key_id} inactive now?"):
        note(f"{WARN} nothing was changed")
        return
    done = take(rotator, key_id)
    words = rotator.delivery.store.afterwards() if done.replacement else ()
    if wants_json():
        answer = {"revoked": key_id, "use": str(done.use), "replacement": done.replacement}
        print_json({**answer, "deleted": done.deleted, "afterwards": list(words)})
        return
    _tell(done, rotator.delivery.store.name)
    for word in words:
        say(f"{WARN} {word}")
    say(f"{WARN} temporary credentials made with it live on until they expire (up to 36 hours)")


def _tell(done: Revoked, store: str) -> None:
    state = "deleted, to make room" if done.deleted else "inactive"
    say(f"{OK} {done.key_id} is {state}; it was {done.use}")
    if done.replacement:
        say(f"{OK} {done.replacement} is in {store} instead")
    if not done.deleted:
        say(f"when its use has been looked at: `cml-iam key delete {done.key_id}`")


@click.command()
@click.argument("key_id", metavar="KEY_ID")
@key_options
@click.option("--stored", is_flag=True, help="Delete it although it is in a store.")
@shared_options("yes", "dry_run")
def delete(key_id: str, where: Where, stored: bool) -> None:
    """Delete an inactive key; `key revoke` makes one inactive.

    AWS knows nothing of a deleted key any more, and nobody can make it active again.
    """
    from cml_iam.credentials import delete as take
    from cml_iam.credentials import deletion_step

    _check(key_id)
    rotator = rotator_of(where)
    step = deletion_step(rotator, key_id, stored=stored)
    if settings().dry_run:
        tell_step(step)
        return
    if not agreed(rotator.aws, f"{step}?"):
        note(f"{WARN} nothing was changed")
        return
    use = take(rotator, key_id, stored=stored)
    if wants_json():
        print_json({"deleted": key_id, "use": str(use)})
    else:
        say(f"{OK} {key_id} is deleted; it was {use}")
