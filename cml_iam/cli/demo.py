"""`cml-iam demo`: the whole workflow, narrated."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from cml_iam.cli._exit import Exit
from cml_iam.cli._output import BAD, OK, answer, early, heading, progress, say
from cml_iam.cli._settings import shared_options
from cml_iam.demo import Check, run_demo
from cml_iam.errors import InputError


@click.option(
    "--keep",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Keep the site file and the .env in DIR.",
)
@shared_options("output")
def demo(keep: Path | None) -> None:
    """Run the whole workflow in an embedded AWS: no account, no network, under a minute.

    Renders the hardened policy, lints it, bootstraps the user, verifies every permission, runs a
    worker with the new key, and tries what the policy forbids. Exits with 3 if a step has an
    unexpected result.

    \b
    Examples:
      cml-iam demo
      cml-iam demo --keep demo/
    """  # noqa: D301 - click reads the backspace as "do not fill"
    begun = time.monotonic()
    teller = _Teller()
    with _folder(keep) as folder:
        checks = run_demo(folder, teller)
    wrong = [each for each in checks if not each.ok]
    answer(
        {"checks": checks, "failed": len(wrong)},
        lambda: _summary(checks, wrong, time.monotonic() - begun),
        Exit.FINDINGS if wrong else Exit.OK,
    )


class _Teller:
    """Prints acts as numbered headings, with the checks below them."""

    def __init__(self) -> None:
        self.acts = 0

    @contextmanager
    def act(self, title: str) -> Iterator[None]:
        self.acts += 1
        early(heading, f"{self.acts}. {title}")
        with progress(f"{title} …", only_on_terminal=True):
            yield

    def check(self, check: Check) -> None:
        early(say, f"   {OK if check.ok else BAD} {check.text}")


@contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    if keep is None:
        with tempfile.TemporaryDirectory(prefix="cml-iam-demo-") as folder:
            yield Path(folder)
        return
    if keep.exists() and any(keep.iterdir()):
        raise InputError(f"the folder `{keep}` is not empty", remedy="name a new one")
    keep.mkdir(parents=True, exist_ok=True)
    yield keep


def _summary(checks: tuple[Check, ...], wrong: list[Check], seconds: float) -> None:
    say("")
    if wrong:
        say(
            f"{BAD} {len(wrong)} of {len(checks)} checks have an unexpected result, {seconds:.0f} s"
        )
    else:
        say(f"{OK} all {len(checks)} checks have the expected result, {seconds:.0f} s")
        say("")
        say("Next, with your own account:  cml-iam init  ·  cml-iam policy verify  ·")
        say("cml-iam bootstrap plan")
