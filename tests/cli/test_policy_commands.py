"""`init`, `policy render`, `policy verify` and `policy permissions`, as a user meets them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cml_iam.cli.policy_verify import _judgement_lines as _lines
from cml_iam.expectations import Judgement, derive_expectations
from cml_iam.render import render_policy
from cml_iam.site import Site, parse_site, site_text
from tests.site.test_site import EXAMPLE

SNIPPETS = Path(__file__).parent / "snippets"


@pytest.fixture
def site_file(tmp_path: Path) -> Path:
    path = tmp_path / "cml-iam.toml"
    path.write_text(EXAMPLE)
    return path


@pytest.fixture
def base_file(tmp_path: Path) -> Path:
    path = tmp_path / "base.json"
    path.write_text(render_policy(None, "base").text)
    return path


def test_render_prints_the_document_and_nothing_else(
    cml_iam: Any, site_file: Path, site: Site
) -> None:
    ran = cml_iam("policy", "render")

    assert (ran.code, ran.out, ran.err) == (0, render_policy(site).text, "")


def test_render_of_the_base_needs_no_site(cml_iam: Any) -> None:
    ran = cml_iam("policy", "render", "--document", "base")

    assert ran.code == 0
    assert json.loads(ran.out)["Statement"][0]["Sid"] == "EC2InstanceManagement"


def test_render_without_a_site_says_how_to_get_one(cml_iam: Any) -> None:
    ran = cml_iam("policy", "render")

    assert (ran.code, ran.out) == (2, "")
    assert "no site file: `cml-iam.toml`" in ran.err
    assert "cml-iam init" in ran.err


def test_render_warns_when_nothing_is_restricted(cml_iam: Any, tmp_path: Path) -> None:
    (tmp_path / "open.toml").write_text('[account]\nid = "111122223333"\n[principal]\n')

    ran = cml_iam("--site", "open.toml", "policy", "render")

    assert ran.code == 0
    assert "no [restrict]" in ran.err
    json.loads(ran.out)


def test_verify_of_the_rendered_policy_holds(cml_iam: Any, site_file: Path) -> None:
    ran = cml_iam("policy", "verify")

    assert ran.code == 0
    assert "expectations hold (offline)" in ran.out
    assert "✖" not in ran.out
    assert "\x1b" not in ran.out


def test_verify_shows_what_the_hardening_snippets_let_through(
    cml_iam: Any, site_file: Path, base_file: Path
) -> None:
    """Beside the base policy the documented snippets restrict nothing."""
    base = cml_iam("policy", "verify", base_file)
    beside = cml_iam("policy", "verify", base_file, *sorted(SNIPPETS.glob("*.json")))

    assert (base.code, beside.code) == (3, 3)
    assert _failed(base.out) == _failed(beside.out)
    assert "TerminateInstances/foreign-instance/" in "".join(_failed(beside.out))


def _failed(out: str) -> list[str]:
    lines = [line for line in out.splitlines() if line.startswith("✖") and "[" in line]
    return [line[line.rindex("[") :] for line in lines]


def test_verify_as_json_holds_every_judgement(cml_iam: Any, site_file: Path) -> None:
    ran = cml_iam("policy", "verify", "-o", "json")

    said = json.loads(ran.out)
    assert (said["failed"], said["unchecked"]) == (0, 0)
    assert len(said["judgements"]) == said["expectations"] > 80
    assert said["judgements"][0]["requests"][0]["action"] == "ec2:RunInstances"


def test_a_boundary_narrows_the_base(cml_iam: Any, site_file: Path, base_file: Path) -> None:
    hardened = cml_iam("policy", "render").out
    Path("boundary.json").write_text(hardened)

    ran = cml_iam("policy", "verify", base_file, "--boundary", "boundary.json")

    assert ran.code == 0


def test_verify_says_which_statement_would_have_to_change(
    cml_iam: Any, site_file: Path, tmp_path: Path
) -> None:
    narrowed = cml_iam("policy", "render").out.replace('"m5zn.metal"', '"m5zn.huge"')
    (tmp_path / "narrow.json").write_text(narrowed)

    ran = cml_iam("policy", "verify", "narrow.json")

    assert ran.code == 3
    assert (
        "statement `LaunchInstance` of `narrow.json` does not allow it: `ec2:InstanceType` is "
        "`m5zn.metal`; StringLike requires `m5zn.huge`"
    ) in ran.out


def test_verify_live_takes_no_files(cml_iam: Any, site_file: Path, base_file: Path) -> None:
    ran = cml_iam("policy", "verify", "--live", base_file)

    assert ran.code == 2
    assert "omit the files" in ran.err


@pytest.mark.parametrize("more", [(), ("--document", "base"), ("--all", "rendered")])
def test_a_trust_that_would_change_nothing_is_refused(
    cml_iam: Any, site_file: Path, more: tuple[str, ...]
) -> None:
    ran = cml_iam("policy", "render", "--trust", "irsa", *more)

    assert ran.code == 2
    assert "use --document trust-irsa, or --form terraform" in ran.err


def test_permissions_prints_the_three_tables(cml_iam: Any) -> None:
    ran = cml_iam("policy", "permissions")

    assert ran.code == 0
    assert ran.out.count("| Permission | Purpose | Used In |") == 3


def test_init_writes_what_its_options_say(cml_iam: Any, tmp_path: Path) -> None:
    ran = cml_iam(
        "init",
        *(
            "--account",
            "111122223333",
            "--allow-region",
            "us-east-1",
            "--allow-region",
            "us-west-2",
        ),
        *("--guard-tag", "ManagedBy=cml-cloud-manager", "--instance-type", "m5zn.metal"),
        *("--image", "us-east-1=ami-0a1b2c3d4e5f60001", "--image-owner", "111122223333"),
    )

    assert ran.code == 0
    written = parse_site((tmp_path / "cml-iam.toml").read_text())
    assert written.restrict.regions == ("us-east-1", "us-west-2")
    assert str(written.restrict.guard_tag) == "ManagedBy=cml-cloud-manager"
    assert cml_iam("policy", "verify").code == 0


def test_init_does_not_write_over_a_file(cml_iam: Any, site_file: Path) -> None:
    ran = cml_iam("init", "--account", "444455556666")

    assert ran.code == 2
    assert "--force" in ran.err
    assert site_file.read_text() == EXAMPLE


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "no account"),
        (["--account", "1234"], "twelve digits"),
        (["--account", "111122223333", "--guard-tag", "ManagedBy"], "write KEY=VALUE"),
        (["--account", "111122223333", "--image", "ami-12345678"], "write REGION=AMI"),
        (["--account", "111122223333", "--allow-region", "x"], "a region is a name"),
        (["--account", "111122223333", "--user", 'a"]'], "a user's or role's name"),
    ],
)
def test_init_refuses_what_could_not_be_read_back(
    cml_iam: Any, tmp_path: Path, options: list[str], words: str
) -> None:
    ran = cml_iam("init", *options)

    assert ran.code == 2
    assert words in ran.err
    assert not (tmp_path / "cml-iam.toml").exists()


def test_what_could_not_be_checked_comes_with_the_reason() -> None:
    expectation = derive_expectations(Site(account="111122223333"))[0]
    hint = "AWS needs the condition key aws:SourceVpce, which this expectation does not have"

    said, why = _lines(Judgement(expectation, None, hint=hint))

    assert "could not check" in said
    assert why == f"    {hint}"


@pytest.mark.parametrize(
    "command", [("verify",), ("prove",), ("explain", "ec2:DescribeRegions")], ids=" ".join
)
def test_a_site_whose_policy_takes_several_documents_is_judged_by_all_of_them(
    cml_iam: Any, tmp_path: Path, command: tuple[str, ...]
) -> None:
    regions = ("us-east-1", "us-west-2", "eu-west-1", "eu-central-1")
    images = {
        region: tuple(f"ami-{number:08x}{image:09x}" for image in range(40))
        for number, region in enumerate(regions)
    }
    text = site_text(account="111122223333", regions=regions, images=images)
    (tmp_path / "cml-iam.toml").write_text(text)

    ran = cml_iam("policy", *command)

    assert "AWS allows 6144" not in ran.err
    assert ran.out


def test_a_folder_stands_for_the_policies_in_it(
    cml_iam: Any, site_file: Path, tmp_path: Path, base_file: Path
) -> None:
    folder = tmp_path / "attached" / "deeper"
    folder.mkdir(parents=True)
    base_file.rename(folder / "base.json")

    assert cml_iam("policy", "diff", "attached", str(folder / "base.json")).code == 0
    assert "ec2:RunInstances" in cml_iam("policy", "verify", "attached").out
