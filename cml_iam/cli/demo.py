"""`cml-iam demo`: the whole workflow in the sandbox; the steps are in `_demo`."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from cml_iam.cli._exit import Exit
from cml_iam.cli._options import FILE, option, shared_options
from cml_iam.cli._output import BAD, OK, answer
from cml_iam.errors import InputError


@option("--keep DIR", "Keep the site file and the .env in DIR.", type=FILE)
@shared_options("output")
def demo(keep: Path | None) -> None:
    """Run the whole workflow in an embedded AWS: no account, no network, under a minute.

    Renders the hardened policy, lints it, bootstraps the user, verifies every permission, runs a
    worker with the new key, and tries what the policy forbids. Exits with 3 if a step has an
    unexpected result.

    Examples:
      cml-iam demo
      cml-iam demo --keep demo/
    """
    from cml_iam.cli._demo import play

    begun = time.monotonic()
    with _folder(keep) as folder:
        checks = play(Path(folder))
    took = f"{time.monotonic() - begun:.0f} s"
    total, wrong = len(checks), sum(not check.ok for check in checks)
    lines = ["", f"{OK} all {total} checks have the expected result, {took}", ""]
    lines += ["Next, with your own account:"]
    lines += ["  cml-iam init, cml-iam policy verify, cml-iam bootstrap plan"]
    if wrong:
        lines = ["", f"{BAD} {wrong} of {total} checks have an unexpected result, {took}"]
    result = {"checks": checks, "failed": wrong}
    answer(result, lines, Exit.FINDINGS if wrong else Exit.OK)


def _folder(keep: Path | None) -> AbstractContextManager[Path | str]:
    if keep is None:
        import tempfile

        return tempfile.TemporaryDirectory(prefix="cml-iam-demo-")
    if keep.exists() and any(keep.iterdir()):
        raise InputError(f"the folder `{keep}` is not empty", remedy="name a new one")
    keep.mkdir(parents=True, exist_ok=True)
    return nullcontext(keep)
