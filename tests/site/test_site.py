"""The site file: read, checked with places, written."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cml_iam.errors import InputError, SiteError
from cml_iam.facts import known_regions
from cml_iam.render import render_policy
from cml_iam.site import (
    Idle,
    Restrictions,
    Site,
    Tag,
    load_site,
    parse_site,
    site_text,
)

EXAMPLE = """\
[account]
id = "111122223333"
partition = "aws"                      # default

[principal]
user = "cml-cloud-manager-service"     # default; role = "..." instead
policy = "CMLWorkerManagementPolicy"   # default

[restrict]                             # each optional; absent = not restricted
regions = ["us-east-1", "us-west-2"]
guard_tag = { ManagedBy = "cml-cloud-manager" }
instance_types = ["m5zn.metal", "c5.*", "c6i.*", "m5.*"]
image_owners = ["111122223333"]
[restrict.images]                      # by region
us-east-1 = ["ami-0a1b2c3d4e5f60001"]
"""
HEAD = '[account]\nid = "111122223333"\n[principal]\n'


def test_the_example_is_read_whole(site: Site) -> None:
    assert parse_site(EXAMPLE) == site


def test_what_is_absent_is_not_restricted() -> None:
    read = parse_site(HEAD)

    assert read.restrict == Restrictions()
    assert read.restrict.active == frozenset()
    assert (read.user, read.policy) == ("cml-cloud-manager-service", "CMLWorkerManagementPolicy")


def test_a_role_takes_the_place_of_the_user() -> None:
    read = parse_site(HEAD + 'role = "cml-manager"\n')

    assert (read.user, read.role) == (None, "cml-manager")
    assert read.principal_arn == "arn:aws:iam::111122223333:role/cml-manager"


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        (
            'regions = ["us-east-1"]\n[account]\nid = "111122223333"',
            "`regions` belongs in [restrict]",
        ),
        ('[account]\nid = "111122223333"\nguard_tag = { A = "b" }', "belongs in [restrict]"),
        ('[account]\nid = "111122223333"\nuser = "a"', "`user` belongs in [principal]"),
        ('[account]\nid = "111122223333"\n[restrict]\nvirtualization = 3', "[workers.NAME]"),
        ('account = "111122223333"', 'write [account], and below it id = "111122223333"'),
        ("account = 111122223333", 'write [account], and below it id = "111122223333"'),
    ],
)
def test_a_key_in_the_wrong_table_is_told_where_it_belongs(text: str, remedy: str) -> None:
    with pytest.raises(SiteError) as caught:
        parse_site(text, "s")

    (problem,) = caught.value.problems
    assert remedy in (problem.remedy or "")


def test_the_image_owner_self_is_the_account_of_the_site() -> None:
    text = '[account]\nid = "111122223333"\n[restrict]\nimage_owners = ["amazon", "self"]'
    said = text.replace("self", "111122223333")

    assert parse_site(text).restrict.image_owners == ("amazon", "111122223333")
    assert render_policy(parse_site(text)).text == render_policy(parse_site(said)).text


def test_a_list_of_what_is_allowed_is_printed_once(cml_iam: Any, tmp_path: Path) -> None:
    unknown = "".join(f"x{number} = 1\n" for number in range(5))
    (tmp_path / "cml-iam.toml").write_text(f'[account]\nid = "111122223333"\n{unknown}')

    ran = cml_iam("policy", "render")

    assert ran.err.count("is not known in `account`") == 5
    assert ran.err.count("one of: id, partition") == 1


def test_all_errors_come_at_once_each_with_its_place() -> None:
    text = """\
[acount]
id = "1"
[account]
id = 123456789012
[principal]
user = "a b"
[restrict]
regons = []
regions = ["us-east-1", "Ohio"]
guard_tag = { ManagedBy = "*" }
instance_types = ["C5.large"]
"""
    with pytest.raises(SiteError) as caught:
        parse_site(text, "cml-iam.toml")

    said = [str(problem) for problem in caught.value.problems]
    assert [line.split(": ")[0] for line in said] == [
        "cml-iam.toml:1:2",
        "cml-iam.toml:4:6",
        "cml-iam.toml:6:8",
        "cml-iam.toml:8:1",
        "cml-iam.toml:9:25",
        "cml-iam.toml:10:27",
        "cml-iam.toml:11:19",
    ]
    assert "did you mean `account`?" in said[0]
    assert "did you mean `regions`?" in said[3]


@pytest.mark.parametrize(
    ("body", "place", "words"),
    [
        ('user = "a"\nrole = "b"', "s:3:1", "both `user` and `role`"),
        ("[restrict]\nregions = []", "s:5:11", "must not be empty"),
        ('[restrict]\nregions = ["us-east-1", "us-east-1"]', "s:5:11", "twice"),
        ('[restrict]\nregions = "us-east-1"', "s:5:11", "must be a list"),
        ('[restrict]\nregions = ["arn:aws:ec2:us-east-1"]', "s:5:12", "a region is a name"),
        ('[restrict]\nregions = ["cn-north-1"]', "s:5:12", "not in the partition `aws`"),
        ('[restrict]\nguard_tag = {A = "1", B = "2"}', "s:5:13", "one key and its value"),
        (f'[restrict]\nguard_tag = {{{"k" * 129} = "1"}}', "s:5:13", "tag key is 1 to 128"),
        ('[restrict]\nguard_tag = {"aws:x" = "1"}', "s:5:13", "does not begin with aws:"),
        ('[restrict]\nguard_tag = {A = "${aws:username}"}', "s:5:18", "a tag's value"),
        ('[restrict]\nguard_tag = {A = " "}', "s:5:18", "spaces (not at its ends)"),
        ('[restrict]\nguard_tag = {A = "b "}', "s:5:18", "spaces (not at its ends)"),
        ('[restrict]\nguard_tag = {" A" = "b"}', "s:5:13", "spaces (not at its ends)"),
        ('[idle]\nwindow = "2 weeks"', "s:5:10", "a length of time"),
        ("[idle]\ncpu_percent = 101", "s:5:15", "at most 100, not `101`"),
        ('[idle]\nrules = ["cpus"]', "s:5:10", "cannot be"),
        ('[fleet]\nhold_tag = "aws:x"', "s:5:12", "does not begin with aws:"),
        ('[credentials]\nmanager = "cml-manager"', "s:5:11", 'a credential is "profile:NAME"'),
        ('[credentials]\nmanager = "ssm:/key"', "s:5:11", 'a credential is "profile:NAME"'),
        ('[credentials]\nadministrator = "env:"', "s:5:17", 'a credential is "profile:NAME"'),
        ('[credentials]\nadmin = "profile:a"', "s:5:1", "is not known in `credentials`"),
        ('[restrict]\nimage_owners = ["me"]', "s:5:17", "an image owner"),
        ('[restrict.images]\nus-east-1 = ["ami-1"]', "s:5:14", "an image id"),
        (
            '[restrict.images]\nus-east-1 = ["ami-12345678"]\nus-west-2 = ["ami-12345678"]',
            "s:6:14",
            "already listed for `us-east-1`",
        ),
        ('[restrict.images]\n"arn:aws:ec2:us-east-1" = []', "s:4:1", "a region is a name"),
        ('[restrict]\nsource_ips = ["300.1.1.1/8"]', "s:5:15", "not an address or range"),
        ('[restrict]\nguard_tag = { Name = "x" }', "s:5:13", "cannot be `Name`"),
        ("[restrict]\nmfa_to_terminate = true", "s:5:1", "never has MFA"),
        (
            '[restrict]\nregions = ["us-east-1"]\n[restrict.images]\nus-west-2 = ["ami-12345678"]',
            "s:7:1",
            "not an allowed region",
        ),
        (
            '[restrict]\nregions = ["us-east-1", "us-west-2"]\n'
            '[restrict.images]\nus-east-1 = ["ami-12345678"]',
            "s:5:25",
            "no image may be launched in `us-west-2`",
        ),
    ],
)
def test_a_wrong_value_is_answered_with_place_and_words(body: str, place: str, words: str) -> None:
    with pytest.raises(SiteError) as caught:
        parse_site(HEAD + body, "s")

    (problem, *_) = caught.value.problems
    assert str(problem.place) == place
    assert words in problem.message


def test_broken_toml_is_answered_with_its_place() -> None:
    with pytest.raises(SiteError) as caught:
        parse_site("[account]\nid = \n", "cml-iam.toml")

    assert str(caught.value.problems[0].place) == "cml-iam.toml:2:6"


def test_an_empty_file_says_what_it_lacks() -> None:
    with pytest.raises(SiteError) as caught:
        parse_site("", "s")

    assert [p.message for p in caught.value.problems] == ["the document has no `account`"]


def test_the_account_is_all_a_site_must_say() -> None:
    read = parse_site('[account]\nid = "111122223333"\n')

    assert read == parse_site(HEAD)


def test_an_image_tag_admits_images_where_none_is_listed() -> None:
    text = (
        '[account]\nid = "111122223333"\n[restrict]\nregions = ["us-east-1", "us-west-2"]\n'
        'image_tag = { Approved = "cml" }\n[restrict.images]\nus-east-1 = ["ami-12345678"]\n'
    )

    assert parse_site(text).restrict.other_images


def test_a_missing_file_is_an_input_error_that_says_how_to_write_one(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no site file: `.*cml-iam.toml`") as caught:
        load_site(tmp_path / "cml-iam.toml")

    assert "cml-iam init" in (caught.value.remedy or "")


REGIONS = st.sampled_from(["us-east-1", "us-west-2", "eu-central-1", "ap-southeast-2"])
TAG = st.from_regex(
    r"[A-Za-z0-9_.:/=+@-]([A-Za-z0-9 _.:/=+@-]{0,18}[A-Za-z0-9_.:/=+@-])?", fullmatch=True
)


@given(
    regions=st.lists(REGIONS, unique=True).map(tuple),
    key=TAG.filter(lambda key: not key.lower().startswith("aws:")),
    value=TAG,
    owners=st.lists(st.from_regex(r"[0-9]{12}", fullmatch=True), unique=True).map(tuple),
)
def test_what_is_written_reads_back_the_same(
    regions: tuple[str, ...], key: str, value: str, owners: tuple[str, ...]
) -> None:
    text = site_text(
        account="111122223333", regions=regions, guard_tag=Tag(key, value), image_owners=owners
    )

    read = parse_site(text)

    assert read.restrict == Restrictions(
        regions=regions, guard_tag=Tag(key, value), image_owners=owners
    )


PROFILE = """
[workers.lab]
instance_types = ["m5zn.metal", "c5.metal"]
image = "cml-2.9-*"
owners = ["self"]
subnets = { us-east-1b = "subnet-0a1b2c3d4e5f60002", us-east-1a = "subnet-0a1b2c3d4e5f60001" }
security_groups = ["sg-0a1b2c3d4e5f60001"]
disk = 64
virtualization = "metal"
tags = { Team = "core" }
"""


def test_a_worker_profile_keeps_the_order_of_preference() -> None:
    profile = parse_site(EXAMPLE + PROFILE).workers["lab"]

    assert profile.instance_types == ("m5zn.metal", "c5.metal")
    assert list(profile.subnets) == ["us-east-1b", "us-east-1a"]
    assert (profile.image, profile.disk, profile.virtualization) == ("cml-2.9-*", 64, "metal")
    assert dict(profile.tags) == {"Team": "core"}


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('"c5.metal"', '"t3.micro"', "`t3.micro` is not among `restrict.instance_types`"),
        ('"c5.metal"', '"c5.large"', "`c5.large` is not a metal type"),
        ('"c5.metal"', '"c5.*"', "a family and a size in full"),
        ("disk = 64", "disk = 0", "disk"),
        ("us-east-1b", "us-east-1", "an availability zone is a region and a letter"),
        ('"metal"\n', '"none"\n', "virtualization"),
        ('"metal"\n', '"nested"\n', "is a metal type, which needs no nested virtualization"),
        ("[workers.lab]", '[workers.lab]\nregion = "eu-west-1"', "among `restrict.regions`"),
    ],
)
def test_a_profile_that_cannot_be_launched_is_said_with_its_place(
    old: str, new: str, words: str
) -> None:
    with pytest.raises(SiteError) as raised:
        parse_site(EXAMPLE + PROFILE.replace(old, new), "site.toml")

    assert words in str(raised.value)
    assert raised.value.problems[0].place


def test_a_guard_tag_may_hold_spaces_within() -> None:
    read = parse_site(HEAD + '[restrict]\nguard_tag = { "Managed By" = "the manager" }')

    assert read.restrict.guard_tag == Tag("Managed By", "the manager")


def test_rules_left_out_bound_nothing() -> None:
    read = parse_site(
        HEAD + '[idle]\nwindow = "90m"\nrules = ["cpu"]\ncpu_percent = 3\ncml_nodes = 2'
    )

    assert read.idle == Idle(timedelta(minutes=90), 3, None, None)
    assert parse_site(HEAD).idle == Idle()


@pytest.mark.parametrize(
    ("body", "place", "words"),
    [
        ('[restrict]\nregions = ["us-east-1", "us-east-11"]', None, ""),
        ('[restrict]\nregions = ["us-esat-1"]', "s:5:12", "did you mean `us-east-1`?"),
        ('[restrict]\nregions = ["qz-polar-9"]', "s:5:12", "it may be a new region"),
        ('[eks]\ncluster = "c"\nregion = "eu-cental-1"', "s:6:1", "`eu-central-1`"),
        (
            '[workers.a]\ninstance_types = ["c5.metal"]\nimage = "x"\n'
            'subnets = { us-eats-1a = "subnet-12345678" }',
            "s:7:13",
            "`us-east-1`",
        ),
    ],
)
def test_a_region_nobody_knows_is_doubted_with_its_place_and_taken(
    body: str, place: str | None, words: str
) -> None:
    if place is None:
        with pytest.raises(SiteError, match="a region is a name"):
            parse_site(HEAD + body, "s")
        return

    (doubt,) = parse_site(HEAD + body, "s").doubts

    assert str(doubt.place) == place
    assert words in (doubt.remedy or "")


def test_known_regions_are_not_doubted() -> None:
    for partition in ("aws", "aws-cn", "aws-us-gov"):
        regions = ", ".join(f'"{region}"' for region in known_regions(partition))
        body = f'[account]\nid = "111122223333"\npartition = "{partition}"\n'
        assert parse_site(f"{body}[restrict]\nregions = [{regions}]").doubts == ()


def test_the_known_regions_are_botocores() -> None:
    import botocore.session

    session = botocore.session.Session()
    for partition in ("aws", "aws-cn", "aws-us-gov"):
        offered = session.get_available_regions("ec2", partition)
        assert set(known_regions(partition)) <= set(offered)


def test_a_folder_is_no_site_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is a folder"):
        load_site(tmp_path)


def test_a_file_that_is_no_text_is_said_so(tmp_path: Path) -> None:
    path = tmp_path / "cml-iam.toml"
    path.write_bytes(b"\xff\xfe")

    with pytest.raises(InputError, match="not UTF-8 text"):
        load_site(path)


@pytest.mark.parametrize(
    "text", ["a=" + "[" * 100_000, "a=" + "1" * 100_000, ".".join("a" * 100_000)]
)
def test_what_no_site_file_has_is_wrong_input(text: str) -> None:
    with pytest.raises(SiteError):
        parse_site(text)


@pytest.mark.parametrize("kind", ["device", "pipe"])
def test_a_site_file_is_a_regular_file(tmp_path: Path, kind: str) -> None:
    path = Path("/dev/zero") if kind == "device" else tmp_path / "cml-iam.toml"
    if kind == "pipe":
        os.mkfifo(path)

    with pytest.raises(InputError, match=f"it is a {kind}, not a regular file"):
        load_site(path)
