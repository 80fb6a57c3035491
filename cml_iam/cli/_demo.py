"""The steps of `cml-iam demo`: render, lint, bootstrap, verify, use, and be refused.

Every step calls the functions of the commands, and compares the result with the expected one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cml_iam.aws import connect
from cml_iam.aws.port import Aws
from cml_iam.check.verify import verify_live, verify_offline
from cml_iam.cli._output import BAD, OK, early, heading, progress, say
from cml_iam.credentials import AccessKey, Delivery, EnvFile
from cml_iam.errors import AwsError, DeniedError
from cml_iam.expectations import derive_expectations
from cml_iam.lint import Severity, lint_texts
from cml_iam.provision import apply_plan, plan_bootstrap
from cml_iam.render import RenderedPolicy, render_policy
from cml_iam.report import plural
from cml_iam.sandbox import OWN_IMAGE, Sandbox, check_installed, start_sandbox
from cml_iam.site import Site, parse_site, site_text
from cml_iam.tag import Tag, as_aws
from cml_iam.workers import Launch, Metric, Worker, WorkerManager

EAST, WEST = REGIONS = ("us-east-1", "us-west-2")
WEST_IMAGE: Final = "ami-0a1b2c3d4e5f60002"
STRANGERS_IMAGE: Final = "ami-0bad00000000000ff"
STRANGER: Final = "999999999999"
GUARD: Final = Tag("ManagedBy", "lablet-cloud-manager")


@dataclass(frozen=True, slots=True)
class Check:
    """One result compared with the expected one."""

    text: str
    ok: bool


def play(folder: Path) -> list[Check]:
    """Run every step with its files in *folder*, print what happens, and return the checks."""
    check_installed()
    report = _Report()
    with report.act("Start an embedded AWS that enforces policies"):
        sandbox = start_sandbox(region=EAST)
    with sandbox:
        report(f"it answers at {sandbox.endpoint_url}, account {sandbox.account}", ok=True)
        _Play(folder, sandbox, report).all_acts()
    return report.checks


@dataclass
class _Report:
    """Prints acts as numbered headings with the checks below them, and collects the checks."""

    acts: int = 0
    checks: list[Check] = field(default_factory=list)

    @contextmanager
    def act(self, title: str) -> Iterator[None]:
        self.acts += 1
        early(heading, f"{self.acts}. {title}")
        with progress(f"{title} …", only_on_terminal=True):
            yield

    def __call__(self, text: str, *, ok: bool) -> None:
        self.checks.append(Check(text, ok))
        early(say, f"   {OK if ok else BAD} {text}")


class _Play:
    """The steps, in order; each uses the results of earlier steps."""

    def __init__(self, folder: Path, sandbox: Sandbox, report: _Report) -> None:
        self.env_file = EnvFile(folder / ".env")
        self.sandbox = sandbox
        self.report = report
        self.site = _site(folder / "cml-iam.toml", sandbox.account)
        self.expectations = derive_expectations(self.site)
        self.admin = self._connect(AccessKey(sandbox.root.id, sandbox.root.secret))
        sandbox.register_image(WEST_IMAGE, region=WEST, name="cml-worker-west")
        sandbox.register_image(STRANGERS_IMAGE, owner=STRANGER, name="cml-worker", public=True)
        # Somebody else's machine, which the manager must not touch.
        self.foreign = _run(self.admin, EAST, OWN_IMAGE, {"ManagedBy": "another-team"})

    def all_acts(self) -> None:
        policy = self._render()
        self._lint(policy)
        aws = self._bootstrap(policy)
        self._verify(policy)
        manager = WorkerManager(aws, guard=self.site.restrict.guard_tag)
        worker = self._work(manager)
        self._refusals(manager, aws)
        with self.report.act("Terminate the worker"):
            manager.terminate_instance(worker.id)
            state = manager.get_instance_details(worker.id).state
            others = manager.get_all_instances(states=("pending", "running", "stopped"))
        self.report(f"{worker.label} is {state}, no worker is left", ok=not others)

    def _connect(self, key: AccessKey) -> Aws:
        return connect(
            region=self.sandbox.region,
            endpoint_url=self.sandbox.endpoint_url,
            access_key=key.id,
            secret_key=key.secret,
        )

    def _render(self) -> RenderedPolicy:
        with self.report.act("Render the hardened policy of the site"):
            policy, again = render_policy(self.site), render_policy(self.site)
        size = f"{len(policy.document.statements)} statements, {policy.size} of 6144 characters"
        self.report(f"{size}, the same bytes each time", ok=policy.text == again.text)
        return policy

    def _lint(self, policy: RenderedPolicy) -> None:
        report, hardened = self.report, ("hardened.json", policy.text)
        with report.act("Lint it, and lint what a reader of the setup guide might attach"):
            findings = lint_texts([hardened])
            errors = [finding for finding in findings if finding.severity > Severity.INFO]
            base = render_policy(None, "base")
            beside = lint_texts([("base.json", base.text), hardened], together=True)
            offline = verify_offline(self.expectations, [policy.document])
            both = verify_offline(self.expectations, [base.document, policy.document])
        useless = [finding for finding in beside if finding.name == "restricts-nothing"]
        report(f"the hardened policy: {plural(len(errors), 'finding')}", ok=not errors)
        report(
            f"attached beside the base policy, {len(useless)} of its statements restrict nothing",
            ok=bool(useless),
        )
        report(
            f"and {len(both.failed)} calls that must be refused would go through",
            ok=bool(both.failed),
        )
        report(
            f"{len(self.expectations)} expectations hold according to our own engine",
            ok=not offline.failed,
        )

    def _bootstrap(self, policy: RenderedPolicy) -> Aws:
        """Return the connection with the new key."""
        delivery = Delivery(self.env_file, self._connect)
        with self.report.act("Bootstrap: user, policy, attachment, access key"):
            plan = plan_bootstrap(self.admin, self.site, policy.text, delivery=delivery)
            apply_plan(self.admin, plan)
            again = plan_bootstrap(self.admin, self.site, policy.text, delivery=delivery)
        key = self.env_file.look().key
        mode = f"{self.env_file.path.stat().st_mode & 0o777:04o}"
        self.report(f"{plan.principal}: {plural(len(plan.changes), 'step')}", ok=bool(plan.changes))
        self.report(f"its key is in .env (mode {mode}), printed nowhere", ok=mode == "0600")
        self.report("a second run has nothing to do", ok=not again.changes)
        if key is None:
            raise AwsError("the bootstrap left no key in the file")
        aws = self._connect(key)
        arn = aws.identity().arn
        self.report(f"the key signs in as {arn}", ok=arn == self.site.principal_arn)
        return aws

    def _verify(self, policy: RenderedPolicy) -> None:
        with self.report.act("Verify live: iam:SimulatePrincipalPolicy on the user"):
            live = verify_live(self.admin, self.site.principal_arn, self.expectations)
            offline = verify_offline(self.expectations, [policy.document])
        answers = [[judgement.answer for judgement in done.judgements] for done in (live, offline)]
        held = not live.failed and not live.unchecked
        self.report(
            f"all {len(self.expectations)} expectations hold, in {live.calls} calls", ok=held
        )
        self.report("the answers match the offline check", ok=answers[0] == answers[1])

    def _work(self, manager: WorkerManager) -> Worker:
        with self.report.act("Work with the new key: create a worker"):
            worker = manager.create_instance(
                Launch(name="cml-worker-01", image_id=OWN_IMAGE, instance_type="m5zn.metal")
            )
            manager.update_instance_tags(worker.id, {"Owner": "network-lab"})
            tags = manager.get_instance_tags(worker.id)
            status = manager.get_instance_status(worker.id)
            details = manager.get_instance_details(worker.id)
            usage = manager.get_instance_resources_utilization(details)
        tagged = {GUARD.key: GUARD.value, "Owner": "network-lab"}
        written = ", ".join(f"{key}={value}" for key, value in sorted(tags.items()))
        used = f"{_mean('CPU', usage.cpu)}, {_mean('memory', usage.memory)}"
        measured = usage.cpu.mean is not None and usage.memory.mean is not None
        self.report(f"{worker.label}, {worker.instance_type}, {status.state}", ok=status.ok)
        self.report(f"tags: {written}", ok=tagged.items() <= tags.items())
        self.report(f"utilization: {used}", ok=measured)
        with self.report.act("Stop it and start it again"):
            stopped = manager.stop_instance(worker.id)
            started = manager.start_instance(worker.id)
            state = manager.get_instance_details(worker.id).state
        self.report(
            f"{stopped.previous} → {stopped.current} → {started.current}, now {state}",
            ok=state == "running",
        )
        return worker

    def _refusals(self, manager: WorkerManager, ours: Aws) -> None:
        launch, foreign = {GUARD.key: GUARD.value}, [self.foreign]
        attempts: Mapping[str, Callable[[], object]] = {
            "launch in another region": lambda: _run(ours, "eu-central-1", OWN_IMAGE, launch),
            "launch another type": lambda: _run(ours, EAST, OWN_IMAGE, launch, "p5.48xlarge"),
            "launch a stranger's image": lambda: _run(ours, EAST, STRANGERS_IMAGE, launch),
            "terminate another team's instance": lambda: ours.call(
                "ec2", "terminate_instances", InstanceIds=foreign
            ),
            "mark another team's instance as a worker": lambda: ours.call(
                "ec2", "create_tags", Resources=foreign, Tags=as_aws(launch)
            ),
        }
        with self.report.act("Try five things the policy forbids"):
            answers = {words: _refusal(attempt) for words, attempt in attempts.items()}
        for words, code in answers.items():
            self.report(f"{words}: {code}", ok=code == "UnauthorizedOperation")
        left = manager.get_all_instances(managed_only=False)
        other = next(worker for worker in left if worker.id == self.foreign)
        untouched = (other.state, other.tags.get(GUARD.key)) == ("running", "another-team")
        self.report(
            "and nothing happened: the other team's instance is still running", ok=untouched
        )


def _site(path: Path, account: str) -> Site:
    """Write the site file to *path*, and read it."""
    text = site_text(
        account=account,
        regions=REGIONS,
        guard_tag=GUARD,
        instance_types=("m5zn.metal", "c5.*", "c6i.*", "m5.*"),
        images={EAST: (OWN_IMAGE,), WEST: (WEST_IMAGE,)},
        manager="env:.env",
    )
    path.write_text(text, "utf-8")
    return parse_site(text, str(path))


def _run(aws: Aws, region: str, image: str, tags: Mapping[str, str], kind: str = "c5.large") -> str:
    answer = aws.call(
        "ec2",
        "run_instances",
        region=region,
        ImageId=image,
        InstanceType=kind,
        MinCount=1,
        MaxCount=1,
        TagSpecifications=[{"ResourceType": "instance", "Tags": as_aws(tags)}],
    )
    return str(answer["Instances"][0]["InstanceId"])


def _refusal(attempt: Callable[[], object]) -> str:
    """Return AWS's error code for the refused *attempt*, or what happened instead."""
    try:
        attempt()
    except DeniedError as error:
        return error.code
    except AwsError as error:
        return f"not refused by the policy, but {error.code or 'without an answer'}"
    return "ALLOWED"


def _mean(name: str, metric: Metric) -> str:
    if metric.mean is None:
        return f"{name} unknown ({metric.unknown})"
    return f"{name} {metric.mean:.1f} %"
