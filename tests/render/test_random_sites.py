"""Whatever the site file, the documents do what it means: by our engine, and by another's."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from cml_iam.engine import Request
from cml_iam.expectations import derive_expectations
from cml_iam.policy import parse_policy
from cml_iam.render import render_document, render_parts
from cml_iam.site import GRANTS, OPTIONS, RESTRICTIONS, Site, parse_site
from tests.conftest import REPOSITORY
from tests.expectations.test_expectations import ADMINISTRATOR, SUBSETS, broken
from tests.render.random_sites import random_site

SEEDS = range(200)
SITES = (*SUBSETS, *(random_site(seed) for seed in SEEDS))


@pytest.mark.parametrize("seeds", [SEEDS[start : start + 50] for start in SEEDS[::50]], ids=str)
def test_the_policy_of_any_site_does_what_it_means(seeds: range) -> None:
    for seed in seeds:
        site = random_site(seed)
        assert broken(site, *(part.document for part in render_parts(site))) == [], seed


@pytest.mark.parametrize("seed", SEEDS[::10])
def test_boundary_and_guard_of_any_site_hold_beside_administrator(seed: int) -> None:
    site = random_site(seed)

    boundary = render_document(site, "boundary").document
    guard = render_document(site, "guard").document

    assert broken(site, ADMINISTRATOR, boundary=boundary) == []
    assert broken(site, ADMINISTRATOR, guard) == []


def test_the_sites_are_of_every_kind() -> None:
    assert {site.partition for site in SITES} == {"aws", "aws-cn", "aws-us-gov"}
    assert len({(site.restrict.active, site.grant.active) for site in SITES}) > 150
    assert frozenset().union(*(site.grant.active for site in SITES)) == set(GRANTS)
    assert frozenset().union(*(s.restrict.active for s in SITES)) == {*RESTRICTIONS, *OPTIONS}


PEERS = Path(os.environ.get("PEERS") or REPOSITORY / "benchmarks" / "engine" / "peers")
ORACLE = PEERS / "node_modules" / "@cloud-copilot" / "iam-simulate"


@pytest.mark.skipif(
    not (shutil.which("node") and ORACLE.is_dir()),
    reason="node and iam-simulate are not here; benchmarks/engine/README.md installs them",
)
def test_iam_simulate_decides_every_site_as_meant(tmp_path: Path) -> None:
    asked = [(number, each) for number, site in enumerate(SITES) for each in _expected(site)]
    answers = _ask_oracle(asked, tmp_path)

    wrong = []
    for number, expectation in asked:
        letters = [next(answers) for _ in expectation.requests]
        if ("allowed" if set(letters) == {"A"} else "refused") != expectation.expected:
            wrong.append((number, expectation.id, letters))

    assert wrong == []
    assert len(asked) > 15_000


def _expected(site: Site) -> tuple[Any, ...]:
    return derive_expectations(site)


def _ask_oracle(asked: list[tuple[int, Any]], folder: Path) -> Any:
    """Yield iam-simulate's first letter (Allowed, …Denied) for every authorization, in order."""
    workload = {
        "account": "111122223333",
        "rounds": 1,
        "principals": [
            {
                "arn": site.principal_arn,
                "policies": [json.loads(part.text) for part in render_parts(site)],
            }
            for site in SITES
        ],
        "requests": [
            _for_oracle(number, request)
            for number, expectation in asked
            for request in expectation.requests
        ],
    }
    path = folder / "workload.json"
    path.write_text(json.dumps(workload))
    ran = subprocess.run(
        ["node", REPOSITORY / "benchmarks/engine/contender.mjs", path, "1", "--decisions"],
        capture_output=True,
        text=True,
        env={**os.environ, "PEERS": str(PEERS)},
    )
    assert ran.returncode == 0, ran.stderr
    return iter(ran.stdout.strip())


def _for_oracle(number: int, request: Request) -> dict[str, Any]:
    """Return *request*; what a launch makes gets an id, for a `*` would be taken as a pattern."""
    resource = request.resource
    if resource.endswith("/*"):
        resource = resource.removesuffix("*") + "new"
    return {
        "principal": number,
        "action": request.action,
        "resource": resource,
        "context": dict(request.context),
    }


@pytest.mark.parametrize("value", ['"', "\\", "{", "}", "']", "${aws:username}", "*", "a" * 257])
@pytest.mark.parametrize("where", ["regions", "guard_tag", "instance_types", "image_owners"])
def test_no_site_file_lets_a_bad_value_through(where: str, value: str) -> None:
    """What the schema takes is rendered as a value; what it does not take is an error."""
    from cml_iam.errors import SiteError

    written = json.dumps(value)
    line = f"guard_tag = {{ K = {written} }}" if where == "guard_tag" else f"{where} = [{written}]"
    text = f'[account]\nid = "111122223333"\n[principal]\n[restrict]\n{line}\n'

    with pytest.raises(SiteError) as caught:
        parse_site(text)

    assert caught.value.problems[0].place is not None


def test_a_rendered_site_is_one_policy_document() -> None:
    for site in SITES[::20]:
        for part in render_parts(site):
            assert parse_policy(part.text, part.profile) == part.document
