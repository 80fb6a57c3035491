"""`cml-iam doctor`: what prevents the manager from working."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cml_iam.check import DOCTOR, Diagnosis, State
from cml_iam.cli._connect import Credential, connect_as, credential_in
from cml_iam.cli._delivery import own_store
from cml_iam.cli._exit import Exit, judged
from cml_iam.cli._output import (
    BAD,
    OK,
    UNKNOWN,
    WARN,
    answer,
    heading,
    note,
    progress,
    say,
)
from cml_iam.cli._settings import aws_options, settings, shared_options
from cml_iam.errors import CmlIamError
from cml_iam.report import plural

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cml_iam.aws.port import Aws
    from cml_iam.check.doctor import Scene
    from cml_iam.site import Site

_MARK = {State.OK: OK, State.ADVICE: WARN, State.FINDING: BAD, State.UNCHECKED: UNKNOWN}


@click.command()
@click.argument("areas", nargs=-1, type=click.Choice([each.id for each in DOCTOR]))
@click.option(
    "--env-file",
    type=click.Path(path_type=Path),
    help="File that the application reads its key from.  [default: the site's, else .env]",
)
@click.option(
    "--admin-profile",
    metavar="NAME",
    help="AWS profile that may read IAM, to also check the key's status and age, and the "
    "attached policies.",
)
@shared_options("site", "output")
@aws_options
def doctor(areas: tuple[str, ...], env_file: Path | None, admin_profile: str | None) -> None:
    """Diagnose why the manager cannot work, and say what to do about it.

    Checks the AREAS named, or all: the endpoint, the clock, the credential files, the credentials,
    the regions, every permission in every region (with DryRun), the metrics of every worker, and
    the age of the data. Changes nothing.

    Exits with 3 when a problem was found, and with 8 when something could not be checked.

    \b
    Examples:
      cml-iam doctor
      cml-iam doctor credentials permissions --admin-profile admin
    """  # noqa: D301 - click reads the backspace as "do not fill"
    from cml_iam.check.doctor import examine

    scene = _scene(
        env_file, admin_profile
    )  # names its credentials, which a spinner would overwrite
    with progress("looking at the manager"):
        found = examine(scene, areas)
    answer({"state": _worst(found), "diagnoses": found}, lambda: _print(found), _code(found))


def _scene(env_file: Path | None, admin_profile: str | None) -> Scene:
    from cml_iam.check.doctor import Scene
    from cml_iam.cli.worker_scene import scene
    from cml_iam.workers import launch_to_try

    here, chosen = scene(examined=True), settings()
    return Scene(
        aws=here.aws,
        manager=here.manager,
        regions=here.regions,
        home=here.home,
        site=here.site,
        now=lambda: datetime.now(UTC),
        admin=_administrator(here.site, admin_profile),
        profile=chosen.profile,
        endpoint_url=chosen.endpoint_url,
        env_file=env_file or _own_file(),
        probe=lambda region: launch_to_try(here.manager, here.site, region),
    )


def _own_file() -> Path:
    kind, _, name = own_store().partition(":")
    return Path(name if kind == "env" else ".env")


def _administrator(site: Site | None, profile: str | None) -> Aws | None:
    """Return AWS as the administrator sees it: by *profile*, or from the site file."""
    try:
        named = credential_in("administrator", site) if site else None
    except CmlIamError as error:
        note(f"{UNKNOWN} {error.message}")
        named = None
    credential = Credential(profile=profile) if profile else named
    if credential is None:
        return None
    return connect_as("administrator", site, credential=credential, read_only=True)


def _print(found: Sequence[Diagnosis]) -> None:
    """Print the results by area, each remedy once, below the first problem that it fixes."""
    area, fixed = None, set[str]()
    for each in found:
        if each.area != area:
            area = each.area
            heading(area)
        mark = _MARK[each.state]
        say(f"  {mark} {each.state}: {each.subject}: {each.said}")
        if each.remedy and each.state is not State.OK and each.remedy not in fixed:
            fixed.add(each.remedy)
            say(f"    fix: {each.remedy}")
    counts = {state: sum(each.state is state for each in found) for state in State}
    parts = [
        plural(count, state) if state is State.FINDING else f"{count} {state}"
        for state, count in counts.items()
        if count
    ]
    note(f"  {', '.join(parts)}")


def _worst(found: Sequence[Diagnosis]) -> State:
    ranked = (State.FINDING, State.UNCHECKED, State.ADVICE)
    return next((each for each in ranked if any(one.state is each for one in found)), State.OK)


def _code(found: Sequence[Diagnosis]) -> Exit:
    states = {each.state for each in found}
    return judged(findings=State.FINDING in states, unchecked=State.UNCHECKED in states)
