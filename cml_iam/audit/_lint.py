"""Lint over many policies: on several processors where there are enough of both."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cml_iam.audit._part import linted
from cml_iam.lint import lint_texts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cml_iam.audit._report import AuditFinding
    from cml_iam.lint import Kind

LINT: Final = "lint"
"""The check of lint's findings."""

MANY: Final = 100
"""So many policies are worth the start of another process."""


def lint_many(
    texts: Sequence[tuple[str, str]], kind: Kind, *, together: bool, processes: int
) -> list[AuditFinding]:
    """Judge the policies *texts*, given as (name, text); see `lint_texts`.

    With *processes* above one the caller must be a program that can be imported without running,
    as multiprocessing asks.
    """
    if together or processes < 2 or len(texts) < MANY:
        return _judged(texts, kind, together=together)
    from concurrent.futures import ProcessPoolExecutor
    from functools import partial
    from multiprocessing import get_context

    size = -(-len(texts) // processes)
    parts = [texts[start : start + size] for start in range(0, len(texts), size)]
    with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
        judged = pool.map(partial(_judged, kind=kind, together=False), parts)
        return [finding for part in judged for finding in part]


def _judged(texts: Sequence[tuple[str, str]], kind: Kind, *, together: bool) -> list[AuditFinding]:
    found = lint_texts(texts, kind=kind, together=together)
    return [linted(each, LINT, texts[0][0]) for each in found]
