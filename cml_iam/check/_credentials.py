"""The credential in use and the files that hold it; no output shows a secret."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Final

from cml_iam.aws import Identity, Source
from cml_iam.check._usage import over_age
from cml_iam.check.answer import Answer, Diagnosis, State
from cml_iam.check.checks import Check
from cml_iam.check.doctor import Scene
from cml_iam.credentials import KeyInfo, account_of, list_keys, variables
from cml_iam.errors import (
    AwsError,
    CmlIamError,
    CredentialsError,
    DeniedError,
    InputError,
    NotFoundError,
)
from cml_iam.facts import MAX_KEY_AGE
from cml_iam.files import regular_text
from cml_iam.principal import principal_of_arn
from cml_iam.report import plural

_ADMIN: Final = "pass a profile that may read IAM: --admin-profile NAME"
_SOON: Final = timedelta(days=14)
_CLOCK: Final = {"RequestExpired", "RequestInTheFuture", "RequestTimeTooSkewed"}
_SESSION: Final = {"ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired"}
_SECRET: Final = {"SignatureDoesNotMatch", "InvalidSignatureException"}
_DELIVER: Final = "deliver a working key: `cml-iam key deliver --to env:.env`"


def credentials(check: Check, scene: Scene, _before: Answer) -> Iterator[Diagnosis]:
    """Report the origin of the credential, whether AWS accepts it, its owner, and its age."""
    who = scene.who
    if who.source is not None:
        yield from _source(check, who.source)
        if who.failure is not None:
            yield _refused(check, scene, who.source, who.failure)
    elif who.failure is not None:
        yield check.diagnosis("source", State.FINDING, who.failure.message, who.failure.remedy)
    else:
        yield check.diagnosis("source", State.FINDING, "no credential was found anywhere")
    yield from _account(check, scene)
    if who.identity is not None and who.source is not None:
        yield _accepted(check, scene, who.identity)
        yield from _age(check, scene, who.source, who.identity)


def _source(check: Check, source: Source) -> Iterator[Diagnosis]:
    kind = "temporary credential" if source.temporary else "access key"
    yield check.diagnosis("source", State.OK, f"{kind} `{source.key_id}` from {source.words}")
    for unused in source.unused:
        remedy = "unset the one that you do not need"
        yield check.diagnosis("source", State.ADVICE, f"not used: {unused}", remedy)


def _refused(check: Check, scene: Scene, source: Source, failure: CmlIamError) -> Diagnosis:
    """Explain, as far as possible, why AWS does not accept the credential."""
    if not isinstance(failure, CredentialsError):
        return check.diagnosis("accepted", State.UNCHECKED, failure.message, failure.remedy)
    message, remedy = failure.message, failure.remedy
    if failure.code in _CLOCK or "Signature expired" in message or "not yet current" in message:
        message, remedy = f"{message}: see the clock above", "set this machine's clock: enable NTP"
    elif failure.code in _SESSION:
        message = f"the session of `{source.key_id}` has expired"
    elif failure.code in _SECRET:
        message = f"the key `{source.key_id}` exists, but the secret does not belong to it"
        remedy = f"correct AWS_SECRET_ACCESS_KEY at the origin of the key, or {_DELIVER}"
    elif not source.temporary:
        message, remedy = _key_state(scene, source.key_id)
    return check.diagnosis("accepted", State.FINDING, message, remedy)


def _key_state(scene: Scene, key_id: str) -> tuple[str, str]:
    """Distinguish a deleted key from an inactive one, for which AWS gives the same error."""
    alike = f"AWS knows no active key `{key_id}`: it is inactive, deleted, rotated or mistyped"
    if scene.admin is None:
        return f"{alike}; only IAM can say which", f"{_ADMIN}; or {_DELIVER}"
    try:
        user = _user_of(scene, key_id)
        keys = list_keys(scene.admin, user) if user else ()
    except AwsError as error:
        return f"{alike}; IAM does not answer: {error.message}", error.remedy or _DELIVER
    if user is None:
        return f"{alike}; the user of the key is unknown", "name the user in the site file"
    return _among(keys, scene, user, key_id)


def _among(keys: tuple[KeyInfo, ...], scene: Scene, user: str, key_id: str) -> tuple[str, str]:
    if not keys and not _exists(scene, user):
        remedy = "create it again: `cml-iam bootstrap apply`"
        return f"the user `{user}` and its key `{key_id}` do not exist, or no longer exist", remedy
    others = [key.id for key in keys if key.active and key.id != key_id]
    instead = f"; active: `{', '.join(others)}`" if others else ""
    for key in keys:
        if key.id == key_id and key.active:
            remedy = "wait a minute and try again: AWS takes time to accept a new key everywhere"
            return f"the key `{key_id}` of `{user}` is active, but not accepted yet", remedy
        if key.id == key_id:
            remedy = f"{_DELIVER}, or reactivate it"
            return f"the key `{key_id}` of `{user}` is inactive{instead}", remedy
    return f"the user `{user}` has no key `{key_id}`: deleted or rotated{instead}", _DELIVER


def _user_of(scene: Scene, key_id: str) -> str | None:
    """Return the owner of the key according to AWS, otherwise the site's user."""
    if scene.admin is None:
        return None
    try:
        used = scene.admin.call("iam", "get_access_key_last_used", AccessKeyId=key_id)
    except (NotFoundError, DeniedError):
        used = {}
    return used.get("UserName") or (scene.site.user if scene.site else None)


def _exists(scene: Scene, user: str) -> bool:
    try:
        scene.reader.call("iam", "get_user", UserName=user)
    except NotFoundError:
        return False
    return True


def _accepted(check: Check, scene: Scene, identity: Identity) -> Diagnosis:
    message, named = f"AWS identifies it as {identity.arn}", principal_of_arn(identity.arn)
    if named is None:
        remedy = "use the manager's own user or role: `cml-iam bootstrap apply`"
        return check.diagnosis("accepted", State.ADVICE, message, remedy)
    if scene.site and named != scene.site.principal:
        message += f", but the site file names {' '.join(scene.site.principal)}"
        remedy = "use the credential of the site's principal to check its own permissions"
        return check.diagnosis("accepted", State.ADVICE, message, remedy)
    return check.diagnosis("accepted", State.OK, message)


def _account(check: Check, scene: Scene) -> Iterator[Diagnosis]:
    """Compare accounts; a key id reveals its account even if AWS refuses the key."""
    who = scene.who
    account = who.identity.account if who.identity else None
    if account is None and who.source:
        account = account_of(who.source.key_id)
    if account is None or scene.site is None:
        return
    expected = scene.site.account
    if account == expected:
        yield check.diagnosis("account", State.OK, f"{account}, as in the site file")
    else:
        message = (
            f"the credential belongs to account {account}, but the site file is for {expected}"
        )
        remedy = "use a credential of the site's account, or the site file of this one"
        yield check.diagnosis("account", State.FINDING, message, remedy)


def _age(check: Check, scene: Scene, source: Source, identity: Identity) -> Iterator[Diagnosis]:
    kind, user = principal_of_arn(identity.arn) or ("", "")
    if source.temporary or kind != "user":
        return
    try:
        keys = list_keys(scene.reader, user)
    except AwsError as error:
        unknown = check.unknown("key age", error)
        yield unknown if scene.admin else replace(unknown, remedy=_ADMIN)
        return
    created = next((key.created for key in keys if key.id == source.key_id), None)
    if created is None:
        message = f"IAM lists no key `{source.key_id}` of `{user}`"
        yield check.diagnosis("key age", State.UNCHECKED, message, None if scene.admin else _ADMIN)
        return
    age, most = scene.now() - created, MAX_KEY_AGE.days
    message, rotate = plural(age.days, "day"), "rotate it: `cml-iam key rotate`"
    if over_age(age):
        yield check.diagnosis("key age", State.FINDING, f"{message}: older than {most}", rotate)
    elif over_age(age + _SOON):
        yield check.diagnosis("key age", State.ADVICE, f"{message} of {most}", rotate)
    else:
        yield check.diagnosis("key age", State.OK, message)


_ID_NAME, _SECRET_NAME = "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"
_ID_FORM: Final = re.compile(r"(AKIA|ASIA)[A-Z2-7]{16}")
_SECRET_FORM: Final = re.compile(r"[A-Za-z0-9/+]{40}")
_EXAMPLE: Final = "AKIAIOSFODNN7EXAMPLE"


def files(check: Check, scene: Scene, _before: Answer) -> Iterator[Diagnosis]:
    """Check the `.env` file and AWS's own files: who may read them, and whether they are in use."""
    path = scene.env_file
    if path.is_file():
        yield _privacy(check, path)
        try:
            values = variables(regular_text(path))
        except InputError as error:
            yield check.diagnosis(str(path), State.UNCHECKED, error.message)
        else:
            yield from _pair(check, scene, path, values)
    else:
        yield check.diagnosis(str(path), State.OK, "there is no such file here")
    for variable, default in (
        ("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials"),
        ("AWS_CONFIG_FILE", "~/.aws/config"),
    ):
        path = Path(os.environ.get(variable) or default).expanduser()
        if path.is_file():
            yield _privacy(check, path)


def _privacy(check: Check, path: Path) -> Diagnosis:
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        message = f"accessible to other users ({mode:04o})"
        return check.diagnosis(str(path), State.FINDING, message, f"chmod 600 {path}")
    return check.diagnosis(str(path), State.OK, f"private ({mode:04o})")


def _pair(check: Check, scene: Scene, path: Path, values: dict[str, str]) -> Iterator[Diagnosis]:
    key_id, secret = values.get(_ID_NAME, ""), values.get(_SECRET_NAME, "")
    faults = list(_faults(key_id, secret))
    for message in faults:
        remedy = f"write a working key into it: `cml-iam key deliver --to env:{path}`"
        yield check.diagnosis(str(path), State.FINDING, message, remedy)
    source = scene.who.source
    if faults:
        return
    if source is not None and source.key_id != key_id:
        message = f"holds the key `{key_id}`, but `{source.key_id}` from {source.words} is in use"
        remedy = "load the file (`set -a; . ./.env`), or name its key in the profile"
        yield check.diagnosis(str(path), State.ADVICE, message, remedy)
    else:
        yield check.diagnosis(str(path), State.OK, f"holds the key `{key_id}`")


def _faults(key_id: str, secret: str) -> Iterator[str]:
    """Yield what is wrong with the form of a key's id and secret."""
    for name, value in ((_ID_NAME, key_id), (_SECRET_NAME, secret)):
        if not value:
            yield f"{name} is not set"
    if key_id == _EXAMPLE:
        yield f"{_ID_NAME} is the documentation's example"
    elif key_id and not _ID_FORM.fullmatch(key_id):
        yield f"{_ID_NAME} does not have the form of a key id"
    if " " in secret or secret != secret.strip():
        yield f"{_SECRET_NAME} contains blanks"
    elif secret and not _SECRET_FORM.fullmatch(secret):
        form = "a secret consists of 40 letters, digits, / and +"
        yield f"{_SECRET_NAME} has {len(secret)} characters, where {form}"
