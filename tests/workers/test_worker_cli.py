"""The worker commands, as a user types them, against moto."""

import csv
import io
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from secrets import token_urlsafe
from typing import Any

import pytest

from cml_iam.aws import Aws
from cml_iam.catalogue import load_catalogue
from cml_iam.cli._main import run
from cml_iam.cli.worker_act import outcome_json, remedy_of
from cml_iam.cli.worker_show import list_columns
from cml_iam.errors import StateError
from cml_iam.workers import Outcome, Worker

SITE = """
[account]
id = "123456789012"
[principal]
[restrict]
regions = ["us-east-1", "us-west-2"]
guard_tag = { ManagedBy = "lablet-cloud-manager" }
instance_types = ["c5.*", "m5zn.metal"]
image_owners = ["123456789012"]
"""
PERMISSIONS = len(load_catalogue().permissions)


@dataclass(frozen=True)
class Said:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Cli = Callable[..., Said]


@pytest.fixture
def cli(
    moto: Aws,
    moto_url: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> Cli:
    monkeypatch.setenv("AWS_ENDPOINT_URL", moto_url)
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", token_urlsafe(30))
    monkeypatch.chdir(tmp_path)
    moto.call("ec2", "register_image", Name="cml-2.9")
    (tmp_path / "cml-iam.toml").write_text(SITE)

    def typed(*words: str, answer: str | None = None) -> Said:
        stdin = io.StringIO(answer or "")
        monkeypatch.setattr(stdin, "isatty", lambda: answer is not None)
        monkeypatch.setattr("sys.stdin", stdin)
        capsys.readouterr()
        code = run(list(words))
        said = capsys.readouterr()
        return Said(code, said.out, said.err)

    return typed


@pytest.fixture
def lab(cli: Cli) -> str:
    """A worker called lab; its id."""
    said = cli("worker", "create", "lab", "--image-name", "cml-*", "-o", "json")
    assert said.code == 0, said.err
    return str(said.json["id"])


def states(cli: Cli) -> list[str]:
    return [each["state"] for each in cli("worker", "list", "-o", "json").json]


def test_a_worker_is_created_from_the_sites_defaults(cli: Cli) -> None:
    said = cli("worker", "create", "lab", "--image-name", "cml-*", "--disk", "64", "-t", "a=b=c")

    assert (said.code, said.out.startswith("✔ lab (i-")) == (0, True)
    (worker,) = cli("worker", "list", "-o", "json").json
    assert worker["instance_type"] == "m5zn.metal"
    assert worker["tags"] == {"ManagedBy": "lablet-cloud-manager", "Name": "lab", "a": "b=c"}


def test_a_dry_run_of_create_makes_nothing(cli: Cli) -> None:
    said = cli("worker", "create", "lab", "--image-name", "cml-*", "--dry-run")

    assert (said.code, "permitted" in said.out) == (0, True)
    assert states(cli) == []


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["x"], "no image is given"),
        (["x", "--image", "ami-0a1b2c3d", "--image-name", "c"], "not both"),
        (["x", "--image", "nonsense"], "not an image id"),
        (["x", "--image", "ami-0a1b2c3d", "-t", "novalue"], "not a tag: `novalue`"),
        (["x", "--image", "ami-0a1b2c3d", "-t", "a=1", "-t", "a=2"], "given twice"),
        (["x", "--image", "ami-0a1b2c3d", "-t", "managedby=me"], "guard tag"),
    ],
)
def test_a_create_that_makes_no_sense_is_usage(cli: Cli, words: list[str], error: str) -> None:
    said = cli("worker", "create", *words)

    assert (said.code, said.out) == (2, "")
    assert error in said.err


def test_no_image_of_that_name_is_aws_saying_no(cli: Cli) -> None:
    assert cli("worker", "create", "x", "--image-name", "nothing").code == 5


def test_an_empty_list_says_what_counts(cli: Cli) -> None:
    said = cli("worker", "list")

    assert (said.code, said.out) == (0, "")
    assert "ManagedBy=lablet-cloud-manager" in said.err
    assert cli("worker", "list", "-o", "json").json == []


def test_list_narrows_down(cli: Cli, lab: str) -> None:
    def ids(*words: str) -> list[str]:
        return [each["id"] for each in cli("worker", "list", "-o", "json", *words).json]

    assert ids() == ids("--state", "running", "--type", "m5zn.*", "--name", "l*") == [lab]
    assert ids("--name", "x*") == ids("--state", "stopped") == ids("--tag", "a=b") == []
    assert ids("--region", "us-west-2") == []


def test_a_piped_table_has_every_column_and_no_colour(cli: Cli, lab: str) -> None:
    said = cli("worker", "list")

    assert said.out.splitlines()[0].split() == (
        ["name", "id", "state", "type", "zone", "address", "private", "up", "image", "tags"]
    )
    assert "\x1b" not in said.out


def test_a_stopped_worker_is_not_shown_at_an_address_where_nothing_answers(
    cli: Cli, lab: str
) -> None:
    (running,) = cli("worker", "list", "-o", "json").json
    shown = cli("worker", "list").out
    cli("worker", "stop", "lab", "--yes")
    (stopped,) = cli("worker", "list", "-o", "json").json

    words = cli("worker", "list").out.splitlines()[1].split()

    assert (running["public_ip"] or running["private_ip"]) in shown
    assert stopped["private_ip"]
    assert words[words.index("m5zn.metal") + 2] == "-"  # the zone is between the two


def test_show_by_name_and_by_id_is_the_same(cli: Cli, lab: str) -> None:
    by_name, by_id = cli("worker", "show", "lab", "-o", "json"), cli("worker", "show", lab)

    assert by_name.json["id"] == lab
    assert "tag ManagedBy" in by_id.out
    lines = by_id.out.splitlines()
    assert lines[0].split() == ["id", lab]
    assert re.search(r"^launched at +\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC$", by_id.out, re.M)


def test_stop_and_terminate_ask_nobody_without_a_terminal(cli: Cli, lab: str) -> None:
    for verb in ("stop", "terminate"):
        said = cli("worker", verb, "lab")
        assert said.code == 2
        assert "add --yes" in said.err

    assert states(cli) == ["running"]


def test_yes_is_enough(cli: Cli, lab: str) -> None:
    said = cli("worker", "stop", "lab", "--yes")

    assert (said.code, said.out) == (0, f"✔ lab ({lab}): running -> stopping\n")
    assert cli("worker", "start", lab).code == 0
    assert states(cli) == ["running"]


@pytest.mark.parametrize(
    ("verb", "answer", "code", "state"),
    [
        ("stop", "y\n", 0, "stopped"),
        ("stop", "n\n", 2, "running"),
        ("stop", "\n", 2, "running"),
        ("terminate", "lab\n", 0, "terminated"),
        ("terminate", "y\n", 2, "running"),
        ("terminate", "", 130, "running"),
    ],
)
def test_a_terminal_is_asked(
    cli: Cli, lab: str, verb: str, answer: str, code: int, state: str
) -> None:
    assert cli("worker", verb, "lab", answer=answer).code == code
    assert states(cli) == [state]


def test_several_are_terminated_by_their_number(cli: Cli, lab: str) -> None:
    cli("worker", "create", "lab-2", "--image-name", "cml-*")

    assert cli("worker", "terminate", "lab", "lab-2", answer="lab\n").code == 2
    assert cli("worker", "terminate", "lab", "lab-2", answer="terminate 2\n").code == 0
    assert states(cli) == ["terminated", "terminated"]


def test_a_dry_run_asks_nobody_and_changes_nothing(cli: Cli, lab: str) -> None:
    said = cli("worker", "terminate", "lab", "--dry-run")

    assert (said.code, "terminate is permitted" in said.out) == (0, True)
    assert states(cli) == ["running"]


def test_a_protected_worker_fails_alone(cli: Cli, moto: Aws, lab: str) -> None:
    cli("worker", "create", "lab-2", "--image-name", "cml-*")
    moto.call(
        "ec2", "modify_instance_attribute", InstanceId=lab, DisableApiTermination={"Value": True}
    )

    said = cli("worker", "terminate", "lab", "lab-2", "--yes", "-o", "json")

    assert said.code == 5
    assert [each["error"] and each["error"]["kind"] for each in said.json] == [
        "ProtectedError",
        None,
    ]
    assert "1 of 2 failed" in said.err
    assert states(cli) == ["running", "terminated"]


def test_an_instance_of_somebody_else_is_left_alone(cli: Cli, moto: Aws) -> None:
    image = moto.call("ec2", "describe_images", Owners=["self"])["Images"][0]["ImageId"]
    foreign = moto.call("ec2", "run_instances", ImageId=image, MinCount=1, MaxCount=1)
    foreign_id = foreign["Instances"][0]["InstanceId"]

    said = cli("worker", "terminate", foreign_id, "--yes")

    assert said.code == 2
    assert "not managed" in said.err
    assert len(cli("worker", "list", "--all", "-o", "json").json) == 1
    assert cli("worker", "stop", foreign_id, "--yes", "--unmanaged").code == 0


def test_an_unknown_worker_is_usage_with_a_hint(cli: Cli, lab: str) -> None:
    said = cli("worker", "start", "leb")

    assert said.code == 2
    assert "did you mean `lab`?" in said.err


def test_tags_come_and_go(cli: Cli, lab: str) -> None:
    assert cli("worker", "tag", "lab", "-t", "team=core", "-t", "x=").code == 0
    assert cli("worker", "show", "lab", "-o", "json").json["tags"]["team"] == "core"
    assert cli("worker", "untag", "lab", "-t", "team").code == 0
    assert "team" not in cli("worker", "show", "lab", "-o", "json").json["tags"]
    assert cli("worker", "untag", "lab", "-t", "ManagedBy").code == 2
    assert cli("worker", "tag", "lab").code == 2


def test_status_of_all_and_of_one(cli: Cli, lab: str) -> None:
    (all_of_them,) = cli("worker", "status", "-o", "json").json
    said = cli("worker", "status", "lab")

    assert all_of_them["status"] == {
        "system": "ok",
        "instance": "ok",
        "ok": True,
        "events": [],
    }
    assert (said.code, "✔ ok" in said.out) == (0, True)


def test_metrics_say_why_they_are_unknown(cli: Cli, lab: str) -> None:
    said = cli("worker", "metrics", "lab")
    (as_json,) = cli("worker", "metrics", "-o", "json").json

    assert said.code == 0
    assert "? too young" in said.out
    assert "fix: try again" in said.out
    assert (as_json["cpu"]["mean"], as_json["cpu"]["unknown"]) == (None, "too young")
    assert cli("worker", "metrics", "lab", "--window", "ten").code == 2
    assert cli("worker", "metrics", "lab", "--window", "999d").code == 2


def test_metrics_are_of_what_is_named(cli: Cli, lab: str) -> None:
    (named,) = cli("worker", "metrics", "lab", "-o", "json").json
    (fleet,) = cli("worker", "metrics", "-o", "json").json
    (chosen,) = cli("worker", "metrics", "--metric", "network-in", "-o", "json").json

    measures = {"cpu", "memory", "network_in", "network_out", "disk_read", "disk_write"}
    assert measures <= named.keys()
    assert measures & fleet.keys() == {"cpu", "memory"}
    assert measures & chosen.keys() == {"network_in"}


def test_metrics_that_are_unknown_say_why(cli: Cli, lab: str) -> None:
    said = cli("worker", "metrics", "lab", "--ascii")

    assert said.code == 0
    assert said.out.count("? too young") == 6
    assert said.out.count("fix: try again") == 1


def test_watch_prints_a_table_each_time(
    cli: Cli, lab: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []
    monkeypatch.setattr("cml_iam.cli.worker_metrics.time.sleep", waited.append)

    said = cli("worker", "watch", "la*", "--count", "2", "--every", "10s")
    lines = cli("worker", "watch", "--count", "2", "-o", "json").out.splitlines()

    assert (said.code, len(waited)) == (0, 2)
    assert said.out.count("1 worker, 1 running") == 2
    assert said.out.count("fix: try again") == 2
    assert [json.loads(line)["workers"][0]["name"] for line in lines] == ["lab", "lab"]
    assert "no worker matches" in cli("worker", "watch", "zz*", "--count", "1").out
    assert cli("worker", "watch", "--every", "1s").code == 2
    assert cli("worker", "watch", "--every", "soon").code == 2


def test_watch_ends_by_the_keyboard_as_every_command(
    cli: Cli, lab: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("cml_iam.cli.worker_metrics.time.sleep", interrupted)

    assert cli("worker", "watch").code == 130


def test_watch_that_reaches_nothing_fails(cli: Cli) -> None:
    said = cli("worker", "watch", "--count", "1", "--endpoint-url", "http://127.0.0.1:9")

    assert said.code == 5
    assert "request failed" in said.out


def test_images_are_the_sites_owners(cli: Cli) -> None:
    (image,) = cli("worker", "images", "cml-*", "-o", "json").json

    assert image["name"] == "cml-2.9"


def test_health_of_a_fleet_is_the_documented_line_and_every_permission(cli: Cli, lab: str) -> None:
    said = cli("health", "--region", "us-east-1")

    assert said.code == 0
    assert said.out.splitlines()[0] == "INFO  ✅ AWS EC2 connection successful"
    assert said.out.count("✔ allowed") == PERMISSIONS


def test_health_tries_every_permission_in_every_region_of_the_site(cli: Cli, lab: str) -> None:
    said = cli("health")

    lines = said.out.splitlines()
    assert lines[0] == "INFO  ✅ AWS EC2 connection successful"
    assert len([line for line in lines if line.startswith("us-east-1")]) == PERMISSIONS
    west = [line for line in lines if line.startswith("us-west-2")]
    assert len(west) == PERMISSIONS
    # There is no worker in the west to try stopping on.
    assert "? could not check" in next(line for line in west if "ec2:StopInstances" in line)
    assert said.code == 8


def test_health_before_the_first_worker_could_not_check_everything(cli: Cli) -> None:
    said = cli("health")

    assert said.code == 8
    assert "? could not check" in said.out
    assert cli("health", "--connection-only").code == 0


def test_health_tries_the_launch_of_the_worker_profile(cli: Cli, tmp_path: Path) -> None:
    profile = '[workers.lab]\ninstance_types = ["m5zn.metal"]\nimage = "cml-*"\n'
    (tmp_path / "cml-iam.toml").write_text(SITE + profile)

    checks = cli("health", "-o", "json").json["permissions"]

    launch = {
        check["region"]: (check["verdict"], check["remedy"])
        for check in checks
        if check["action"] == "ec2:RunInstances"
    }
    assert launch["us-east-1"] == ("allowed", None)
    # No image of that name is in the west.
    assert launch["us-west-2"][0] == "could not check"
    assert "for us-west-2 in the site file" in launch["us-west-2"][1]


def test_a_region_the_site_does_not_allow_is_refused_before_anything_is_asked(cli: Cli) -> None:
    said = cli("worker", "create", "lab", "--image-name", "cml-*", "--region", "eu-west-1")

    assert said.code == 2
    assert "the site does not allow a worker in `eu-west-1`" in said.err
    assert "name one of us-east-1, us-west-2" in said.err


@pytest.mark.parametrize(
    ("options", "words", "remedy"),
    [
        (("--type", "t3.micro"), "of type `t3.micro`", "c5.*, m5zn.metal"),
        (("--subnet", "subnet-0bad0000"), "in `subnet-0bad0000`", "subnet-0a1b2c3d"),
        (("--security-group", "sg-0bad0000"), "with `sg-0bad0000`", "sg-0a1b2c3d"),
        (("--image", "ami-0bad0000"), "from `ami-0bad0000`", "ami-0a1b2c3d"),
    ],
)
def test_a_launch_the_site_does_not_allow_is_refused_before_anything_is_asked(
    cli: Cli, tmp_path: Path, options: tuple[str, str], words: str, remedy: str
) -> None:
    limits = 'subnets = ["subnet-0a1b2c3d"]\nsecurity_groups = ["sg-0a1b2c3d"]\n'
    limits += '[restrict.images]\nus-east-1 = ["ami-0a1b2c3d"]\n'
    (tmp_path / "cml-iam.toml").write_text(SITE + limits)

    said = cli("worker", "create", "lab", *options, "--endpoint-url", "http://127.0.0.1:9")

    assert said.code == 2
    assert f"the site does not allow a worker {words}" in said.err
    assert f"name one of {remedy}" in said.err


def test_health_without_an_endpoint_is_the_documented_warning(cli: Cli) -> None:
    said = cli("health", "--endpoint-url", "http://127.0.0.1:9")

    assert said.code == 5
    first, second = said.out.splitlines()
    assert first.startswith(
        "WARNING  ⚠️ AWS EC2 health check failed: Error while verifying access to EC2: "
    )
    assert second == "WARNING  ⚠️ AWS operations may fail at runtime"


def test_health_without_an_endpoint_says_nothing_of_the_guard_tag(cli: Cli, tmp_path: Path) -> None:
    site = tmp_path / "site.toml"
    site.write_text(
        '[account]\nid = "123456789012"\n[restrict]\nguard_tag = { ManagedBy = "cml" }\n', "utf-8"
    )
    command = ("--site", str(site), "health")

    assert "guard" in cli(*command).err
    said = cli(*command, "--endpoint-url", "http://127.0.0.1:9")
    assert "guard" not in said.out + said.err


def test_health_as_json(cli: Cli, lab: str) -> None:
    said = cli("health", "--region", "us-east-1", "-o", "json").json

    assert (said["ok"], said["connected"], said["failure"]) == (True, True, None)
    assert said["log"] == ["INFO  ✅ AWS EC2 connection successful"]
    assert len(said["permissions"]) == PERMISSIONS


def test_read_only_changes_nothing_but_may_look_and_try(cli: Cli, lab: str) -> None:
    said = cli("worker", "stop", "lab", "--yes", "--read-only")

    assert said.code == 2
    assert "only reads are allowed" in said.err
    assert cli("worker", "stop", "lab", "--dry-run", "--read-only").code == 0
    assert cli("health", "--read-only", "--region", "us-east-1").code == 0
    assert states(cli) == ["running"]


def test_another_account_than_expected_stops_it(cli: Cli) -> None:
    said = cli("worker", "list", "--expect-account", "111122223333")

    assert said.code == 2
    assert "--expect-account is `111122223333`" in said.err
    assert "`123456789012`" in said.err


def test_no_credentials_is_exit_4(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")

    assert cli("worker", "list").code == 4
    assert cli("health").code == 4


def test_without_a_site_file_the_environments_region_is_looked_into(
    cli: Cli, lab: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cml-iam.toml").unlink()

    assert states(cli) == ["running"]
    monkeypatch.setenv("AWS_REGION", "us-west-2")
    assert states(cli) == []


def test_a_site_file_with_another_guard_tag_sees_other_workers(
    cli: Cli, lab: str, tmp_path: Path
) -> None:
    (tmp_path / "cml-iam.toml").write_text(SITE.replace("lablet-cloud-manager", "another"))

    assert states(cli) == []


def test_a_broken_site_file_is_said(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "cml-iam.toml").write_text("nonsense")

    assert cli("worker", "list").code == 2


def test_create_stop_start_and_terminate_wait_until_it_is_so(cli: Cli) -> None:
    made = cli("worker", "create", "lab", "--image-name", "cml-*", "--wait", "-o", "json")
    assert (made.code, made.json["state"]) == (0, "running")

    stopped = cli("worker", "stop", "lab", "--yes", "--wait")
    assert stopped.code == 0
    assert re.search(r": stopped after \d+ s$", stopped.out.splitlines()[1])
    (started,) = cli("worker", "start", "lab", "--wait", "-o", "json").json
    assert started["waited"] == {"state": "running", "reached": True, "detail": None}
    assert cli("worker", "terminate", "lab", "--yes", "--wait").code == 0


def test_wait_ends_with_what_became_of_it(cli: Cli, lab: str) -> None:
    assert cli("worker", "wait", "lab").code == 0
    late = cli("worker", "wait", "lab", "--for", "stopped", "--timeout", "0s")
    assert (late.code, "still running" in late.out) == (7, True)
    cli("worker", "terminate", "lab", "--yes")
    (never,) = cli("worker", "wait", lab, "--for", "running", "-o", "json").json
    assert never["reached"] is False
    assert cli("worker", "wait", lab, "--for", "running").code == 3


PROFILE = """
[workers.metal]
instance_types = ["m5zn.metal", "c5.metal"]
image = "cml-*"
user_data = "cloud-init.yaml"
disk = 64
tags = { Team = "core" }
"""


def test_a_worker_is_created_from_a_profile(cli: Cli, moto: Aws, tmp_path: Path) -> None:
    (tmp_path / "cml-iam.toml").write_text(SITE + PROFILE)
    (tmp_path / "cloud-init.yaml").write_text("#cloud-config")

    said = cli("worker", "create", "lab", "--worker-profile", "metal", "-o", "json")

    assert said.code == 0, said.err
    assert said.json["instance_type"] == "m5zn.metal"
    assert said.json["tags"]["Team"] == "core"
    assert list((tmp_path / "state").rglob("*.json")) == []


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["--worker-profile", "mettle"], "it has: metal"),
        (
            ["--worker-profile", "metal", "--type", "c5.large"],
            "--type: already set by the worker profile",
        ),
    ],
)
def test_a_profile_that_makes_no_sense_is_usage(
    cli: Cli, tmp_path: Path, words: list[str], error: str
) -> None:
    (tmp_path / "cml-iam.toml").write_text(SITE + PROFILE)

    said = cli("worker", "create", "lab", *words)

    assert said.code == 2
    assert error in said.err


def test_a_list_as_csv_is_read_back_whole(cli: Cli, lab: str) -> None:
    cli("worker", "tag", lab, "-t", 'odd=a,"b"')

    (row,) = csv.DictReader(io.StringIO(cli("worker", "list", "-o", "csv").out))
    (as_json,) = cli("worker", "list", "-o", "json").json

    assert row["id"] == lab
    assert set(row) == set(as_json)
    assert json.loads(row["tags"]) == as_json["tags"]
    assert cli("-o", "json", "worker", "list").json == [as_json]


def test_a_piped_list_has_one_line_for_each_worker_however_long(cli: Cli, lab: str) -> None:
    cli("worker", "tag", "lab", "-t", f"Note={'a long story ' * 18}.", "--yes")

    lines = cli("worker", "list").out.splitlines()

    assert len(lines) == 2
    assert lines[1].endswith("story .")


def test_status_of_a_stopped_worker_has_no_checks(cli: Cli, lab: str) -> None:
    cli("worker", "stop", "lab", "--yes")

    heading, row = cli("worker", "status", "-q").out.splitlines()

    assert heading.split() == ["name", "id", "state", "system", "instance", "scheduled"]
    assert row.split()[-3:] == ["-", "-", "-"]


def test_one_on_its_way_is_to_be_waited_for() -> None:
    stopping = Worker("i-1", "us-east-1", "stopping", "c5.large", "ami-1")
    failed = Outcome(stopping, error=StateError("not now"))

    assert remedy_of(failed) == "wait for it: `cml-iam worker wait i-1 --for stopped`"
    assert outcome_json(failed, None, dry=False)["error"]["remedy"] == remedy_of(failed)
    assert remedy_of(replace(failed, worker=replace(stopping, state="terminated"))) is None


def test_a_list_of_all_workers_is_kept_for_the_tab_key_and_a_part_is_not(
    cli: Cli, tmp_path: Path
) -> None:
    cli("worker", "create", "lab", "--image-name", "cml-*")
    for part in (("--state", "running"), ("--region", "us-west-2"), ("-t", "a=b"), ("--all",)):
        cli("worker", "list", *part)
    assert not (tmp_path / "state" / "cml-iam" / "names").exists()

    cli("worker", "list", "--name", "other")

    (kept,) = (tmp_path / "state" / "cml-iam" / "names").iterdir()
    assert [row[1] for row in json.loads(kept.read_text())] == ["lab"]


LONG = "a-rather-long-worker-name-for-the-lab"


@pytest.mark.parametrize(
    ("name", "width", "expected"),
    [
        ("lab", 80, ["name", "id", "state", "type", "address", "up"]),
        ("cml-worker-01", 80, ["name", "id", "state", "type", "address"]),
        (LONG, 80, ["name", "id", "state", "up"]),
        (LONG * 2, 80, ["name", "state"]),
        (LONG, 120, ["name", "id", "state", "type", "zone", "address", "up"]),
        (
            LONG,
            None,
            ["name", "id", "state", "type", "zone", "address", "private", "up", "image", "tags"],
        ),
    ],
)
def test_a_list_has_the_columns_that_fit_unbroken(
    name: str, width: int | None, expected: list[str]
) -> None:
    one = Worker(
        "i-dc0672aeba59055b0",
        "us-east-1",
        "running",
        "c5.2xlarge",
        "ami-0a1b2c3d4e5f60001",
        name,
        "us-east-1a",
        public_ip="54.214.141.90",
    )

    columns = list_columns([one, replace(one, state="stopped")], width)

    assert list(columns) == expected
    assert all(len(cells) == 2 for cells in columns.values())
    if "id" not in columns:
        assert columns["name"][0] == f"{name} (i-dc0672aeba59055b0)"
