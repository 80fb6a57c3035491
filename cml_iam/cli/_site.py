"""The site file of a command, and its connection to AWS: which credential, account and region.

`cml-iam help credentials` and `help configuration` list which one comes first.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

import click

from cml_iam.cli._options import on_command_line, option, settings
from cml_iam.cli._output import INFO, UNKNOWN, WARN, note
from cml_iam.errors import CmlIamError, CredentialsError, InputError, RefusedError
from cml_iam.files import regular_text, shipped_text

if TYPE_CHECKING:
    from cml_iam.aws.port import Aws
    from cml_iam.credentials import AccessKey
    from cml_iam.site import Site


DEFAULT_SITE: Final = Path("cml-iam.toml")
_DOUBTS_SHOWN: Final = "cml_iam.doubts"


def site_path() -> Path:
    """Return the path of the site file, whether or not it exists."""
    return settings().site or DEFAULT_SITE


def has_site() -> bool:
    """Return whether a site file is named or exists in the current folder."""
    return settings().site is not None or DEFAULT_SITE.exists()


def load_site() -> Site:
    """Read the site file, and print warnings about it on stderr; raises SiteError."""
    from cml_iam import site as room

    site = room.load_site(site_path())
    shown: set[str] = click.get_current_context().meta.setdefault(_DOUBTS_SHOWN, set())
    for doubt in map(str, site.doubts):
        if doubt not in shown:
            shown.add(doubt)
            note(f"{WARN} {doubt}")
    return site


def site_with(section: str) -> Site | None:
    """Read the site file if it exists and has *section*; raises SiteError.

    A command that needs only one section does not check the others, which would take a third of its
    time. It checks their names, so that a misplaced *section* is not ignored.
    """
    path = site_path()
    if path.is_file():
        import tomllib

        with suppress(tomllib.TOMLDecodeError):  # load_site says where
            names = tomllib.loads(regular_text(path)).keys()
            schema = json.loads(shipped_text("policies", "site.schema.json"))
            if section not in names and names <= schema["properties"].keys():
                return None
    return find_site()


def find_site() -> Site | None:
    """Read the site file; return None if none is named and there is none in the current folder."""
    return load_site() if has_site() else None


def document_option(text: str) -> Callable[[Any], Any]:
    """Return the option with the help *text*; the command receives it as *document*."""
    documents = click.Choice(["base", "hardened"])
    return option("--document", text, type=documents, default="hardened")


def refuse_document(beside: str) -> None:
    """Raise UsageError if --document is given together with *beside*."""
    if on_command_line("document"):
        raise click.UsageError(f"--document names a policy of the site: omit it, or {beside}")


def refuse_trust(site: Site, trust: str) -> None:
    """Raise InputError if *site* has no role that *trust* may assume."""
    if trust != "ec2" and not site.role:
        raise InputError(
            "--trust needs a role, and the site's principal is a user",
            remedy="name a `role` in the site",
        )


Role = Literal["manager", "administrator"]
"""The role in which a command acts: the manager, or the administrator who sets up the account."""

ENVIRONMENT: Final = (
    "AWS_ACCESS_KEY_ID",
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
)
"""Environment variables that select a credential and override the site file."""


class Credential(NamedTuple):
    """The credential that signs requests: *profile*, *key*, or neither, so that the SDK searches.

    *origin* says where the user named it.
    """

    profile: str | None = None
    key: AccessKey | None = None
    origin: str = ""


def connect_as(
    role: Role,
    site: Site | None,
    *,
    any_account: bool = False,
    credential: Credential | None = None,
    announced: bool = True,
    **connection: Any,
) -> Aws:
    """Connect to AWS as *role*; with *announced*, print the credential's origin on stderr.

    Before the first other call, the account of the credentials is compared with --expect-account
    and, unless *any_account*, with that of *site*. *connection* is passed on to `aws.connect`.
    Raises CredentialsError for a missing credential, RefusedError for one that other users may
    read, and InputError if the site file and --expect-account contradict each other.
    """
    from cml_iam.aws import connect, source_of

    chosen = settings()
    expected = expected_account(None if any_account else site)
    _doubt_region(site)
    credential = credential or credential_of(role, site)
    key = credential.key
    parameters = {"region": region_of(site), "read_only": chosen.read_only, **connection}
    try:
        aws = connect(
            profile=credential.profile,
            origin=credential.origin,
            access_key=key.id if key else None,
            secret_key=key.secret if key else None,
            endpoint_url=chosen.endpoint_url,
            expect_account=expected,
            **parameters,
        )
    except CredentialsError as error:
        if credential.origin:
            error.message += f" ({credential.origin})"
        raise
    if announced:
        with suppress(CmlIamError):  # the first call raises it, with the remedy
            if source := source_of(aws):
                kind = "temporary credential" if source.temporary else "access key"
                note(f"{INFO} credential: {kind} {source.key_id} from {source.words}")
    return aws


def connect_examined(role: Role, site: Site | None) -> Aws:
    """Connect as `connect_as` does, to any account.

    Unless --profile names it, a credential that is missing or open to others fails every call.
    """
    try:
        return connect_as(role, site, any_account=True)
    except (CredentialsError, RefusedError) as error:
        if settings().profile:
            raise
        return _Unconnected(error, region_of(site))


@dataclass(frozen=True, slots=True)
class _Unconnected:
    """The port to AWS without a credential: every call raises *reason*."""

    reason: CmlIamError
    region: str | None

    def call(self, *_: Any, **__: Any) -> Any:
        raise self.reason

    pages = identity = call


def connect_beside(role: Role, site: Site | None, profile: str | None) -> Aws | None:
    """Connect, only to read, in another *role* than the command's own.

    The credential is that of *profile*, or the site file's. Without either, returns None; a
    credential that cannot be read is named on stderr.
    """
    credential = Credential(profile=profile) if profile else None
    try:
        credential = credential or (credential_in(role, site) if site else None)
    except CmlIamError as error:
        note(f"{UNKNOWN} {error.message}")
    return connect_as(role, site, credential=credential, read_only=True) if credential else None


def connect_with(site: Site, **key: Any) -> Aws:
    """Connect with the access *key*, given as `aws.connect` takes it."""
    from cml_iam.aws import connect

    return connect(region=region_of(site), endpoint_url=settings().endpoint_url, **key)


def credential_of(role: Role, site: Site | None) -> Credential:
    """Return the credential for *role*, in the order of `cml-iam help credentials`."""
    if profile := settings().profile:
        return Credential(profile=profile)
    if site is None or any(os.environ.get(name) for name in ENVIRONMENT):
        return Credential()
    return credential_in(role, site) or Credential()


def credential_in(role: Role, site: Site) -> Credential | None:
    """Return the credential that the site file has for *role*, or None."""
    text = place_of(role, site)
    if text is None:
        return None
    kind, _, name = text.partition(":")
    origin = f"`credentials.{role}` in the site file"
    if kind == "profile":
        return Credential(profile=name, origin=origin)
    from cml_iam.credentials import read_env_key

    path = Path(name)
    try:
        return Credential(key=read_env_key(path), origin=f"`{path}`, named by {origin}")
    except CmlIamError as error:
        error.message += f" ({origin})"
        raise


def place_of(role: Role, site: Site) -> str | None:
    """Return `profile:NAME` or `env:PATH` from the site file for *role*, with an absolute path."""
    text = site.credentials.manager if role == "manager" else site.credentials.administrator
    kind, _, name = (text or "").partition(":")
    if kind != "env":
        return text
    return f"env:{site_path().absolute().parent / Path(name).expanduser()}"


def own_store(env_file: Path | None = None) -> str:
    """Return the store of the manager's key: *env_file*, the site's, or `.env` here."""
    if env_file is not None:
        return f"env:{env_file}"
    site = find_site()
    return (place_of("manager", site) if site else None) or "env:.env"


def region_of(site: Site | None) -> str | None:
    """Return the region to use; None leaves it to the AWS configuration."""
    if settings().region or site is None:
        return settings().region
    named = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    allowed = site.restrict.regions
    return named if named and (not allowed or named in allowed) else site.home_region


def expected_account(site: Site | None) -> str | None:
    """Return the account of --expect-account or the site file; InputError if they differ."""
    typed = settings().expect_account
    if typed and site and typed != site.account:
        raise InputError(
            f"--expect-account is `{typed}`, but the site file is for account `{site.account}`",
            remedy="use the site file of that account (--site), or omit --expect-account",
        )
    return typed or (site.account if site else None)


def _doubt_region(site: Site | None) -> None:
    """Warn that --region names a region not in the service reference; it is used as written."""
    from cml_iam.facts import all_regions, known_regions, meant_region

    region = settings().region
    if region is None:
        return
    regions = known_regions(site.partition) if site else all_regions()
    if region not in regions:
        hint = meant_region(region, regions) or "it is used as written"
        note(f"{WARN} unknown AWS region `{region}` ({hint})")


def refuse_account_of_others(aws: Aws, site: Site | None) -> None:
    """Compare the accounts now, for a command that continues after a refused first call."""
    from cml_iam.aws import check_account

    if site is not None:
        check_account(aws.identity(), site.account)
