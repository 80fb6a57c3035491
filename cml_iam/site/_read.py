"""The site file read: its text in, a Site or every problem with its place out."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Final

from cml_iam.errors import DocumentError, InputError, SiteError
from cml_iam.files import regular_text
from cml_iam.located import located_problems, parse_toml
from cml_iam.shipped import shipped_text
from cml_iam.site._build import site_from
from cml_iam.site._check import contradictions
from cml_iam.site._model import Site
from cml_iam.site._regions import doubtful_regions

LARGEST: Final = 1 << 20
"""Bytes of a site file; a thousand times the usual."""


def load_site(path: Path) -> Site:
    """Read the site file at *path*.

    Raises SiteError with every problem and its place, InputError when there is no such file.
    """
    if not os.path.lexists(path):
        raise InputError(
            f"no site file: `{path}`", remedy="write one with `cml-iam init`, or name it: --site"
        )
    if path.is_dir():
        raise InputError(
            f"the site file `{path}` is a folder", remedy=f"name the file in it: --site {path}/…"
        )
    return parse_site(regular_text(path, LARGEST), str(path))


def parse_site(text: str, name: str = "<site>") -> Site:
    """Read the site from the TOML *text*, called *name* in messages; raises SiteError.

    What is no error but looks like one is in the site's `doubts`.
    """
    try:
        located = parse_toml(text, name)
    except DocumentError as error:
        raise SiteError(error.problems) from None
    problems = located_problems(located, json.loads(shipped_text("policies", "site.schema.json")))
    if not problems:
        problems = tuple(contradictions(located))
    if problems:
        raise SiteError(problems)
    site = site_from(located.value)
    return replace(site, doubts=tuple(doubtful_regions(located, site.partition)))
