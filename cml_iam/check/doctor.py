"""What keeps the manager from its work, and what to do about it: troubleshooting as code.

for each in examine(scene):
    each.state, each.subject, each.said, each.remedy
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cml_iam.check._check import answers
from cml_iam.check._list import DOCTOR
from cml_iam.check.scene import Scene

if TYPE_CHECKING:
    from collections.abc import Collection

    from cml_iam.check._answer import Diagnosis

__all__ = ["Scene", "examine"]


def examine(scene: Scene, areas: Collection[str] = ()) -> tuple[Diagnosis, ...]:
    """Return what is found in *areas*, ids of checks, by default in all; changes nothing.

    Whatever AWS answers, or does not, is a diagnosis and never raised.
    """
    chosen = [each for each in DOCTOR if not areas or each.id in areas]
    return answers(chosen, scene).diagnoses
