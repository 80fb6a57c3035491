"""AuthFailure: which credential is in use, whose it is, and what is the matter with it."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from cml_iam.aws import source_of
from cml_iam.credentials import MAX_KEY_AGE, account_of, list_keys
from cml_iam.doctor._model import ADMIN, Area, Diagnosis, Scene, State, Who, known_or_unchecked
from cml_iam.errors import AwsError, CmlIamError, CredentialsError, DeniedError, NotFoundError
from cml_iam.principal import principal_of_arn

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cml_iam.aws import Source
    from cml_iam.credentials import KeyInfo

_AREA = Area.CREDENTIALS

_SOON: Final = timedelta(days=14)
_CLOCK: Final = {"RequestExpired", "RequestInTheFuture", "RequestTimeTooSkewed"}
_SESSION: Final = {"ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired"}
_SECRET: Final = {"SignatureDoesNotMatch", "InvalidSignatureException"}
_DELIVER: Final = "put a working key in place: `cml-iam key deliver --to env:.env`"


def identify(scene: Scene) -> Who:
    """Return which credential is in use, and whom AWS takes it for."""
    source = None
    try:
        source = source_of(scene.aws)
        return Who(source, scene.aws.identity())
    except CmlIamError as error:
        return Who(source, failure=error)


def credentials(scene: Scene, who: Who) -> Iterator[Diagnosis]:
    """Say where the credential comes from, whether AWS takes it, for whom, and how old it is."""
    yield from _source(who)
    if who.failure is not None and who.source is not None:
        yield _refused(scene, who.source, who.failure)
    yield from _account(scene, who)
    if who.identity is None or who.source is None:
        return
    yield _accepted(scene, who)
    yield from _age(scene, who)


def _source(who: Who) -> Iterator[Diagnosis]:
    if who.source is None:
        failure = who.failure
        said = failure.message if failure else "no credential was found anywhere"
        remedy = failure.remedy if failure else None
        yield Diagnosis(_AREA, "source", State.FINDING, said, remedy)
        return
    source = who.source
    kind = "temporary credential" if source.temporary else "access key"
    said = f"{kind} `{source.key_id}` from {source.said}"
    yield Diagnosis(_AREA, "source", State.OK, said)
    for each in source.unused:
        remedy = "unset the one that is not meant"
        yield Diagnosis(_AREA, "source", State.ADVICE, f"not used: {each}", remedy)


def _refused(scene: Scene, source: Source, failure: CmlIamError) -> Diagnosis:
    """Return why AWS does not take the credential, as far as anybody can tell."""
    if not isinstance(failure, CredentialsError):
        return Diagnosis(_AREA, "accepted", State.UNCHECKED, failure.message, failure.remedy)
    said, remedy = failure.message, failure.remedy
    if failure.code in _CLOCK or "Signature expired" in said or "not yet current" in said:
        said, remedy = f"{said}: the clock, see above", "set this machine's clock: enable NTP"
    elif failure.code in _SESSION:
        said = f"the session of `{source.key_id}` has run out"
    elif failure.code in _SECRET:
        said = f"the key `{source.key_id}` is there, and its secret is not the one used"
        remedy = f"correct AWS_SECRET_ACCESS_KEY where the key comes from, or {_DELIVER}"
    elif not source.temporary:
        said, remedy = _key_state(scene, source.key_id)
    return Diagnosis(_AREA, "accepted", State.FINDING, said, remedy)


def _key_state(scene: Scene, key_id: str) -> tuple[str, str]:
    """Tell a deleted key from an inactive one, which AWS answers alike."""
    alike = f"AWS knows no active key `{key_id}`: inactive, deleted, rotated or mistyped"
    if scene.admin is None:
        return f"{alike}; which of these only IAM tells", f"{ADMIN}; or {_DELIVER}"
    try:
        user = _user_of(scene, key_id)
        keys = list_keys(scene.admin, user) if user else ()
    except AwsError as error:
        return f"{alike}; IAM does not tell: {error.message}", error.remedy or _DELIVER
    if user is None:
        return f"{alike}; no user to look at is known", "name the user in the site file"
    return _by_keys(scene, user, key_id, keys)


def _by_keys(scene: Scene, user: str, key_id: str, keys: tuple[KeyInfo, ...]) -> tuple[str, str]:
    if not keys and not _exists(scene, user):
        remedy = "create it anew: `cml-iam bootstrap apply`"
        return f"the user `{user}` does not exist (any more), nor its key `{key_id}`", remedy
    others = [each.id for each in keys if each.active and each.id != key_id]
    instead = f"; active is `{', '.join(others)}`" if others else ""
    for each in keys:
        if each.id == key_id and each.active:
            remedy = "wait a minute and ask again: a new key takes time to be known everywhere"
            return f"the key `{key_id}` of `{user}` is active, and not accepted yet", remedy
        if each.id == key_id:
            remedy = f"{_DELIVER}, or make it active again"
            return f"the key `{key_id}` of `{user}` is inactive{instead}", remedy
    return f"the user `{user}` has no key `{key_id}`: deleted or rotated{instead}", _DELIVER


def _user_of(scene: Scene, key_id: str) -> str | None:
    """Return whose key it is: AWS's word, else the site's user."""
    if scene.admin is None:
        return None
    try:
        found = scene.admin.call("iam", "get_access_key_last_used", AccessKeyId=key_id)
    except (NotFoundError, DeniedError):
        found = {}
    return found.get("UserName") or (scene.site.user if scene.site else None)


def _exists(scene: Scene, user: str) -> bool:
    try:
        scene.reader.call("iam", "get_user", UserName=user)
    except NotFoundError:
        return False
    return True


def _accepted(scene: Scene, who: Who) -> Diagnosis:
    arn = who.identity.arn if who.identity else ""
    held = principal_of_arn(arn)
    if held is None:
        remedy = "use the manager's own user or role: `cml-iam bootstrap apply`"
        return Diagnosis(_AREA, "accepted", State.ADVICE, f"AWS takes it for the {arn}", remedy)
    meant = principal_of_arn(scene.site.principal_arn) if scene.site else None
    if meant and held != meant:
        said = f"AWS takes it for {arn}, the site file means {' '.join(meant)}"
        remedy = "use the credential of the site's principal, to see what that one sees"
        return Diagnosis(_AREA, "accepted", State.ADVICE, said, remedy)
    return Diagnosis(_AREA, "accepted", State.OK, f"AWS takes it for {arn}")


def _account(scene: Scene, who: Who) -> Iterator[Diagnosis]:
    """Compare accounts; the id of a key tells its account even where AWS refuses it."""
    account = who.identity.account if who.identity else None
    if account is None and who.source:
        account = account_of(who.source.key_id)
    if account is None or scene.site is None:
        return
    if account != scene.site.account:
        said = f"the credential is of account {account}, the site file of {scene.site.account}"
        remedy = "use a credential of the site's account, or the site file of this one"
        yield Diagnosis(_AREA, "account", State.FINDING, said, remedy)
    else:
        yield Diagnosis(_AREA, "account", State.OK, f"{account}, as the site file has it")


def _age(scene: Scene, who: Who) -> Iterator[Diagnosis]:
    held = principal_of_arn(who.identity.arn) if who.identity else None
    if who.source is None or who.source.temporary or held is None or held[0] != "user":
        return
    key_id, user = who.source.key_id, held[1]
    found = known_or_unchecked(_AREA, "key age", lambda: _aged(scene, user, key_id))
    for each in found:
        hint = each.remedy if each.state is not State.UNCHECKED or scene.admin else ADMIN
        yield Diagnosis(each.area, each.subject, each.state, each.said, hint)


def _aged(scene: Scene, user: str, key_id: str) -> list[Diagnosis]:
    keys = list_keys(scene.reader, user)
    made = next((each.created for each in keys if each.id == key_id), None)
    if made is None:
        said = f"IAM lists no key `{key_id}` of `{user}`"
        return [Diagnosis(_AREA, "key age", State.UNCHECKED, said)]
    age = scene.now() - made
    said = f"{age.days} days"
    rotate = "rotate it: `cml-iam key rotate`"
    if age > MAX_KEY_AGE:
        said += f": older than {MAX_KEY_AGE.days}"
        return [Diagnosis(_AREA, "key age", State.FINDING, said, rotate)]
    if age > MAX_KEY_AGE - _SOON:
        said += f" of {MAX_KEY_AGE.days}"
        return [Diagnosis(_AREA, "key age", State.ADVICE, said, rotate)]
    return [Diagnosis(_AREA, "key age", State.OK, said)]
