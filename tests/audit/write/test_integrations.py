"""Where the audit runs: each as its service would run it, as far as that can be done here."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import string
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import REPOSITORY, SHARED, needs, tracked
from tests.key_ids import key_id

yaml = pytest.importorskip("yaml")

BIN = Path(sys.executable).parent
COMMAND = BIN / "cml-iam"
SITE = '[account]\nid = "111122223333"\n[restrict]\nregions = ["us-east-1"]\n'
EVERYTHING = {
    "Version": "2012-10-17",
    "Statement": [{"Sid": "All", "Effect": "Allow", "Action": "*", "Resource": "*"}],
}

pytestmark = pytest.mark.skipif(
    not COMMAND.exists() or shutil.which("bash") is None, reason="no installed command, or no bash"
)


def load(name: str) -> Any:
    return yaml.safe_load((REPOSITORY / name).read_text("utf-8"))


@dataclass(frozen=True)
class Step:
    """What a step of a job did."""

    code: int
    log: str
    outputs: dict[str, str]
    summary: str


class TestGithub:
    """action.yml's own step, with the environment that GitHub gives it."""

    @pytest.fixture
    def run(self, tmp_path: Path) -> Any:
        work = tmp_path / "work space"
        work.mkdir()
        (work / "cml-iam.toml").write_text(SITE)
        action = load("action.yml")
        (step,) = (each for each in action["runs"]["steps"] if each.get("id") == "audit")
        defaults = {name: each["default"] for name, each in action["inputs"].items()}

        def run(folder: Path = work, **inputs: str) -> Step:
            given = defaults | {"cml-iam": str(COMMAND)} | inputs

            def value(expression: str) -> str:
                (name,) = re.fullmatch(r"\$\{\{ inputs\.([\w-]+) \}\}", expression).groups()  # type: ignore[union-attr]
                return given[name]

            files = {each: tmp_path / each for each in ("output", "summary")}
            for path in files.values():
                path.write_text("")
            environment = {
                "PATH": os.environ["PATH"],
                "HOME": str(tmp_path),
                "RUNNER_TEMP": str(tmp_path),
                "GITHUB_ACTION_PATH": str(REPOSITORY),
                "GITHUB_OUTPUT": str(files["output"]),
                "GITHUB_STEP_SUMMARY": str(files["summary"]),
                **{name: value(each) for name, each in step["env"].items()},
            }
            # As the runner calls a step of `shell: bash`.
            script = tmp_path / "step.sh"
            script.write_text(step["run"])
            ran = subprocess.run(
                ["bash", "--noprofile", "--norc", "-eo", "pipefail", script],
                cwd=folder,
                env=environment,
                capture_output=True,
                text=True,
            )
            lines = files["output"].read_text().splitlines()
            outputs = dict(line.split("=", 1) for line in lines)
            return Step(
                ran.returncode, ran.stdout + ran.stderr, outputs, files["summary"].read_text()
            )

        run.folder = work  # type: ignore[attr-defined]
        return run

    def test_a_clean_site_is_clean_with_a_summary(self, run: Any) -> None:
        done = run()

        assert done.code == 0, done.log
        assert done.outputs == {"conclusion": "clean", "exit-code": "0"}
        assert done.summary.startswith("# ✔ Clean")
        assert "<code>ec2:RunInstances</code> | ✔ allowed" in done.summary

    def test_a_finding_fails_the_step_and_every_file_is_written(self, run: Any) -> None:
        (run.folder / "a policy.json").write_text(json.dumps(EVERYTHING))
        done = run(files="a policy.json\n", out="r.sarif\nr.html\n\nr.xml\nr.json\n")

        assert done.code == 3, done.log
        assert done.outputs["conclusion"] == "findings"
        assert "CML602" in done.log
        assert "CML602" in done.summary
        assert {each.name for each in run.folder.glob("r.*")} == {
            "r.sarif",
            "r.html",
            "r.xml",
            "r.json",
        }

    def test_the_severity_asked_for_decides(self, run: Any) -> None:
        policy = EVERYTHING["Statement"][0] | {"Action": "ec2:StopInstances"}  # type: ignore[index]
        (run.folder / "p.json").write_text(json.dumps(EVERYTHING | {"Statement": [policy]}))
        # Without a site nothing but the policy itself is judged.
        (run.folder / "cml-iam.toml").unlink()
        skip = "file-drift\nexpectations\npromises"

        assert run(files="p.json").code == 8
        assert run(files="p.json", skip=skip).code == 0
        assert run(files="p.json", skip=skip, **{"fail-on": "info"}).code == 3

    def test_an_earlier_report_is_compared_with(self, run: Any) -> None:
        assert run(out="earlier.json").code == 0
        done = run(earlier="earlier.json")

        assert done.code == 0, done.log
        assert "Since " in done.summary

    def test_what_is_left_out_is_said(self, run: Any) -> None:
        assert "skipped on request: lint" in run(skip="lint\n").log

    def test_more_options_are_words_on_lines(self, run: Any) -> None:
        assert "base policy" in run(options="--document\nbase\n").log

    def test_no_input_is_a_command(self, run: Any) -> None:
        done = run(files='$(touch made)`touch made`"; touch made #\n--out=made')

        assert done.code == 2
        assert done.outputs["conclusion"] == "error"
        assert not (run.folder / "made").exists()

    def test_live_without_credentials_is_an_error_of_its_own(self, run: Any) -> None:
        done = run(live="true")

        assert done.outputs == {"conclusion": "error", "exit-code": "4"} or done.outputs == {
            "conclusion": "incomplete",
            "exit-code": "8",
        }
        assert done.code != 0

    def test_every_input_reaches_the_script_by_the_environment(self) -> None:
        action = load("action.yml")
        scripts = [step["run"] for step in action["runs"]["steps"]]
        used = " ".join(str(step) for step in action["runs"]["steps"])

        assert not [script for script in scripts if "${{" in script]
        assert all(f"inputs.{name}" in used for name in action["inputs"])
        assert all(step["shell"] == "bash" for step in action["runs"]["steps"])


class TestGitlab:
    """The job's own script, in a clean folder, with the variables it sets."""

    def test_the_job_runs_and_leaves_its_reports(self, tmp_path: Path) -> None:
        job = load("ci/gitlab-audit.yml")[".cml-iam-audit"]
        (tmp_path / "cml-iam.toml").write_text(SITE)
        (tmp_path / "policies").mkdir()
        (tmp_path / "policies" / "p.json").write_text(json.dumps(EVERYTHING))
        # The lines before the last one install; here what is installed already stands in for them.
        (tmp_path / ".cml-iam" / "installed").mkdir(parents=True)
        (tmp_path / ".cml-iam" / "installed" / "bin").symlink_to(BIN)
        audit = job["script"][-1:]
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "CI_PROJECT_DIR": str(tmp_path),
            **job["variables"],
            "AUDIT_FILES": "policies",
        }
        ran = subprocess.run(
            ["bash", "-eo", "pipefail", "-c", "\n".join(audit)],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
        )

        assert ran.returncode == 3, ran.stderr
        named = [job["artifacts"]["reports"]["junit"], *job["artifacts"]["paths"]]
        assert all((tmp_path / each).stat().st_size for each in named)

    @pytest.mark.parametrize(
        ("source", "commit"),
        [
            ("", ""),
            ("cml-iam", ""),
            ("https://x.example/cml-iam", "v0.1.0"),
            ("https://x.example/cml-iam", "abc"),
        ],
    )
    def test_without_a_source_and_a_whole_commit_nothing_is_installed(
        self, source: str, commit: str
    ) -> None:
        script = load("ci/gitlab-audit.yml")[".cml-iam-audit"]["script"]
        ran = subprocess.run(
            ["bash", "-eo", "pipefail", "-c", script[0]],
            env={
                "PATH": os.environ["PATH"],
                "CML_IAM_SOURCE": source,
                "CML_IAM_COMMIT": commit,
            },
            capture_output=True,
            text=True,
        )

        assert ran.returncode == 2
        assert "CML_IAM_COMMIT" in ran.stderr

    def test_a_whole_commit_of_a_source_passes(self) -> None:
        script = load("ci/gitlab-audit.yml")[".cml-iam-audit"]["script"]
        environment = {
            "PATH": os.environ["PATH"],
            "CML_IAM_SOURCE": "https://x.example/cml-iam",
            "CML_IAM_COMMIT": "0123456789abcdef" * 2 + "01234567",
        }
        subprocess.run(["bash", "-eo", "pipefail", "-c", script[0]], env=environment, check=True)

    def test_the_reports_are_kept_of_a_job_that_failed(self) -> None:
        assert load("ci/gitlab-audit.yml")[".cml-iam-audit"]["artifacts"]["when"] == "always"


class TestPreCommit:
    @pytest.fixture
    def repository(self, tmp_path: Path) -> Path:
        made = tmp_path / "repository"
        (made / "policies").mkdir(parents=True)
        (made / "policies" / "all.json").write_text(json.dumps(EVERYTHING, indent=2))
        (made / "package.json").write_text('{"name": "other"}\n')
        (made / "notes.md").write_text(
            "AWS_ACCESS_KEY_ID=AKIAIOSFODNN7EXAMPLE\n"
            "AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY\n"
        )
        for command in (["init", "-q"], ["add", "."]):
            subprocess.run(["git", *command], cwd=made, check=True)
        return made

    @needs("pre-commit")
    @pytest.mark.parametrize(
        ("hook", "code", "said"),
        [
            ("cml-iam-lint", 1, "CML602"),
            ("cml-iam-audit", 1, "CML602"),
            ("cml-iam-keys", 0, "Passed"),
        ],
    )
    def test_the_hook_of_a_clone_runs(
        self, hook: str, code: int, said: str, repository: Path, tmp_path: Path
    ) -> None:
        clone = tmp_path / "clone"
        clone.mkdir()
        shutil.copy(REPOSITORY / ".pre-commit-hooks.yaml", clone)
        git = ["git", "-C", clone, "-c", "user.name=x", "-c", "user.email=x@example.com"]
        for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "x"]):
            subprocess.run([*git, *command], check=True)
        head = [*git, "rev-parse", "HEAD"]
        revision = subprocess.run(head, capture_output=True, text=True).stdout.strip()
        # What is installed here stands in for what pre-commit would install from the network.
        config = {
            "repos": [
                {
                    "repo": str(clone),
                    "rev": revision,
                    "hooks": [{"id": hook, "language": "system"}],
                }
            ]
        }
        (repository / ".pre-commit-config.yaml").write_text(json.dumps(config))
        ran = subprocess.run(
            ["pre-commit", "run", "--all-files"],
            cwd=repository,
            capture_output=True,
            text=True,
            env={
                **os.environ,
                "PATH": f"{BIN}:{os.environ['PATH']}",
                "PRE_COMMIT_HOME": str(tmp_path / "cache"),
            },
        )

        assert ran.returncode == code, ran.stdout + ran.stderr
        assert said in ran.stdout

    @pytest.mark.parametrize("hook", ["cml-iam-lint", "cml-iam-audit", "cml-iam-keys"])
    def test_no_name_of_a_file_is_an_option(self, hook: str, tmp_path: Path) -> None:
        (found,) = (each for each in load(".pre-commit-hooks.yaml") if each["id"] == hook)
        inside = tmp_path / "inside"
        (inside / "policies").mkdir(parents=True)
        (inside / "policies" / "all.json").write_text(json.dumps(EVERYTHING))
        (inside / "--out=..").mkdir()
        files = ["--skip=secrets", "--skip=lint", "--out=../made.json"]
        for name in files:
            (inside / name).write_text(json.dumps(EVERYTHING))
        ran = subprocess.run(
            [COMMAND, *found["entry"].split()[1:], *files, "policies/all.json"],
            cwd=inside,
            capture_output=True,
            text=True,
        )

        assert not (tmp_path / "made.json").exists()
        if hook != "cml-iam-keys":
            assert ran.returncode == 3, ran.stderr
            assert "--skip=lint" in ran.stdout  # it is judged as a file

    def test_a_name_of_a_file_does_not_switch_off_the_search_for_keys(self, tmp_path: Path) -> None:
        (found,) = (e for e in load(".pre-commit-hooks.yaml") if e["id"] == "cml-iam-keys")
        letters = string.ascii_letters + string.digits
        secret = "".join(secrets.choice(letters) for _ in range(40))
        (tmp_path / "leak.cfg").write_text(
            f"aws_access_key_id = {key_id('111122223333')}\naws_secret_access_key = {secret}\n"
        )
        (tmp_path / "--skip=secrets").touch()
        ran = subprocess.run(
            [COMMAND, *found["entry"].split()[1:], "--skip=secrets", "leak.cfg"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )

        assert ran.returncode == 3, ran.stdout + ran.stderr
        assert "CML807" in ran.stdout

    @pytest.mark.parametrize("hook", ["cml-iam-lint", "cml-iam-audit", "cml-iam-keys"])
    def test_the_entry_of_a_hook_is_a_command_that_takes_files(
        self, hook: str, repository: Path
    ) -> None:
        (found,) = (each for each in load(".pre-commit-hooks.yaml") if each["id"] == hook)
        command = [*found["entry"].split(), "policies/all.json"]
        ran = subprocess.run(
            [COMMAND, *command[1:]], cwd=repository, capture_output=True, text=True
        )

        assert command[0] == "cml-iam"
        assert ran.returncode == (0 if hook == "cml-iam-keys" else 3), ran.stdout + ran.stderr


def test_nothing_that_is_shipped_installs_by_a_name_that_anybody_may_take() -> None:
    """Nor does a remedy, a page or a template: no index has this project."""
    endings = (".py", ".md", ".yml", ".yaml", ".j2", ".sh", "Dockerfile")
    shipped = [path for path in tracked() if path.endswith(endings)]
    name = re.compile(r"pip3? install[^\n]*[\s'\"](?:--?[\w-]+[\s=])*cml-iam\b(?!/)")
    guilty = [
        path
        for path in shipped
        if not path.startswith("tests/") and name.search((REPOSITORY / path).read_text("utf-8"))
    ]

    assert shipped
    assert guilty == []
    assert name.search("pip install 'cml-iam[sandbox]'")
    assert name.search('run: "pip install cml-iam"')


@pytest.mark.skipif(not SHARED.exists(), reason="the specification is not here")
def test_the_specification_audited_in_every_form_is_read_again(tmp_path: Path) -> None:
    """The exit code and the files of one real run."""
    from cml_iam.audit.write import FORMS, read_report

    outs = [tmp_path / f"r{end}" for end in (".txt", ".json", ".sarif", ".xml", ".md", ".html")]
    options = [word for out in outs for word in ("--out", str(out))]
    document = SHARED / "spec" / "aws-iam-setup.md"
    ran = subprocess.run(
        [COMMAND, "audit", "--quiet", *options, document], cwd=tmp_path, capture_output=True
    )

    assert ran.returncode == 3
    assert len(outs) == len(FORMS)
    assert all(out.stat().st_size for out in outs)
    report = read_report((tmp_path / "r.json").read_text("utf-8"), "r.json")
    assert {"CML401", "CML601"} <= {finding.rule for finding in report.findings}
