"""Looking at everything, in the order in which one thing rests on another."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

from cml_iam.doctor._credentials import credentials, identify
from cml_iam.doctor._files import files
from cml_iam.doctor._metrics import metrics
from cml_iam.doctor._model import Area, Diagnosis, Scene
from cml_iam.doctor._permissions import permissions
from cml_iam.doctor._surroundings import clock, data, endpoints, regions

if TYPE_CHECKING:
    from cml_iam.aws import Greeting


def examine(scene: Scene, areas: Collection[Area] = tuple(Area)) -> Iterator[Diagnosis]:
    """Yield what is found in *areas*, each as soon as it is known; changes nothing.

    Whatever AWS answers, or does not, is a diagnosis and never raised.
    """
    greetings: list[Greeting] = []
    if {Area.ENDPOINT, Area.CLOCK} & set(areas):
        for diagnosis, greeting in endpoints(scene):
            greetings += [greeting] if greeting else []
            if Area.ENDPOINT in areas:
                yield diagnosis
    if Area.CLOCK in areas:
        yield clock(greetings)
    if Area.DATA not in areas or len(set(areas)) > 1:
        yield from _signed_in(scene, areas)
    if Area.DATA in areas:
        yield from data(scene.now().date())


def _signed_in(scene: Scene, areas: Collection[Area]) -> Iterator[Diagnosis]:
    looks = {
        Area.FILES: files,
        Area.CREDENTIALS: credentials,
        Area.REGIONS: regions,
        Area.PERMISSIONS: permissions,
        Area.METRICS: metrics,
    }
    wanted = [look for area, look in looks.items() if area in areas]
    if not wanted:
        return
    who = identify(scene)
    for look in wanted:
        yield from look(scene, who)
