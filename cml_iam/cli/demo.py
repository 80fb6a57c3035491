"""`cml-iam demo`, the whole workflow: render, lint, bootstrap, verify, use, and be refused.

Every step is real: it calls the same functions as the commands, uses the credential in the file
that bootstrap wrote, and compares the result with the expected one.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click

from cml_iam.aws import connect
from cml_iam.aws.port import Aws
from cml_iam.check.verify import verify_live, verify_offline
from cml_iam.cli._exit import Exit
from cml_iam.cli._output import BAD, OK, answer, early, heading, progress, say
from cml_iam.cli._settings import FILE, shared_options
from cml_iam.credentials import AccessKey, Delivery, EnvFile
from cml_iam.errors import AwsError, DeniedError, InputError
from cml_iam.expectations import derive_expectations
from cml_iam.lint import Severity, lint_texts
from cml_iam.provision import apply_plan, plan_bootstrap
from cml_iam.render import RenderedPolicy, render_policy
from cml_iam.report import plural
from cml_iam.sandbox import OWN_IMAGE, Sandbox, check_installed, start_sandbox
from cml_iam.site import Site, parse_site, site_text
from cml_iam.tag import Tag
from cml_iam.workers import Launch, Utilization, Worker, WorkerManager

REGIONS: Final = ("us-east-1", "us-west-2")
WEST_IMAGE: Final = "ami-0a1b2c3d4e5f60002"
STRANGERS_IMAGE: Final = "ami-0bad00000000000ff"
STRANGER: Final = "999999999999"


@dataclass(frozen=True, slots=True)
class Check:
    """One result compared with the expected one."""

    text: str
    ok: bool


@click.option("--keep", type=FILE, metavar="DIR", help="Keep the site file and the .env in DIR.")
@shared_options("output")
def demo(keep: Path | None) -> None:
    """Run the whole workflow in an embedded AWS: no account, no network, under a minute.

    Renders the hardened policy, lints it, bootstraps the user, verifies every permission, runs a
    worker with the new key, and tries what the policy forbids. Exits with 3 if a step has an
    unexpected result.

    Examples:
      cml-iam demo
      cml-iam demo --keep demo/
    """
    begun = time.monotonic()
    with _folder(keep) as folder:
        checks = run_demo(folder)
    wrong = [check for check in checks if not check.ok]
    answer(
        {"checks": checks, "failed": len(wrong)},
        lambda: _summary(checks, wrong, time.monotonic() - begun),
        Exit.FINDINGS if wrong else Exit.OK,
    )


@contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    if keep is None:
        with tempfile.TemporaryDirectory(prefix="cml-iam-demo-") as folder:
            yield Path(folder)
        return
    if keep.exists() and any(keep.iterdir()):
        raise InputError(f"the folder `{keep}` is not empty", remedy="name a new one")
    keep.mkdir(parents=True, exist_ok=True)
    yield keep


def _summary(checks: tuple[Check, ...], wrong: list[Check], seconds: float) -> None:
    say("")
    if wrong:
        say(
            f"{BAD} {len(wrong)} of {len(checks)} checks have an unexpected result, {seconds:.0f} s"
        )
    else:
        say(f"{OK} all {len(checks)} checks have the expected result, {seconds:.0f} s")
        say("")
        say("Next, with your own account:  cml-iam init  ·  cml-iam policy verify  ·")
        say("cml-iam bootstrap plan")


def run_demo(folder: Path) -> tuple[Check, ...]:
    """Run the whole workflow with its files in *folder*; return every check that was made.

    Raises MissingExtraError when moto is not installed.
    """
    check_installed()
    told = _Told()
    with told.act("Start an embedded AWS that enforces policies"):
        sandbox = start_sandbox(region=REGIONS[0])
    with sandbox:
        told(f"it answers at {sandbox.endpoint_url}, account {sandbox.account}", ok=True)
        _Play(folder, sandbox, told).all_acts()
    return tuple(told.checks)


class _Told:
    """Prints acts as numbered headings with the checks below them, and collects the checks."""

    def __init__(self) -> None:
        self.acts = 0
        self.checks: list[Check] = []

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

    def __init__(self, folder: Path, sandbox: Sandbox, told: _Told) -> None:
        self.folder = folder
        self.sandbox = sandbox
        self.told = told
        self.act = told.act
        self.admin = self._connect(AccessKey(sandbox.root.id, sandbox.root.secret))
        sandbox.register_image(WEST_IMAGE, region=REGIONS[1], name="cml-worker-west")
        sandbox.register_image(STRANGERS_IMAGE, owner=STRANGER, name="cml-worker", public=True)
        # Somebody else's machine, which the manager must not touch.
        self.foreign = _run(self.admin, REGIONS[0], OWN_IMAGE, {"ManagedBy": "another-team"})

    def all_acts(self) -> None:
        site = self._site()
        policy = self._render(site)
        self._lint(site, policy)
        manager = self._bootstrap(site, policy)
        self._verify(site, policy)
        worker = self._work(manager)
        self._refusals(manager)
        self._terminate(manager, worker)

    def _site(self) -> Site:
        path = self.folder / "cml-iam.toml"
        text = site_text(
            account=self.sandbox.account,
            regions=REGIONS,
            guard_tag=Tag("ManagedBy", "lablet-cloud-manager"),
            instance_types=("m5zn.metal", "c5.*", "c6i.*", "m5.*"),
            images={REGIONS[0]: (OWN_IMAGE,), REGIONS[1]: (WEST_IMAGE,)},
            manager="env:.env",
        )
        path.write_text(text, "utf-8")
        return parse_site(text, str(path))

    def _render(self, site: Site) -> RenderedPolicy:
        with self.act("Render the hardened policy of the site"):
            policy = render_policy(site)
            again = render_policy(site)
        size = f"{len(policy.document.statements)} statements, {policy.size} of 6144 characters"
        self.told(f"{size}, the same bytes each time", ok=policy.text == again.text)
        return policy

    def _lint(self, site: Site, policy: RenderedPolicy) -> None:
        with self.act("Lint it, and lint what a reader of the setup guide might attach"):
            clean = lint_texts([("hardened.json", policy.text)])
            base = render_policy(None, "base").text
            beside = lint_texts(
                [("base.json", base), ("hardened.json", policy.text)], together=True
            )
            offline = verify_offline(derive_expectations(site), [policy.document])
            both = [render_policy(None, "base").document, policy.document]
            let_through = verify_offline(derive_expectations(site), both).failed
        errors = [finding for finding in clean if finding.severity > Severity.INFO]
        self.told(f"the hardened policy: {plural(len(errors), 'finding')}", ok=not errors)
        useless = [finding for finding in beside if finding.name == "restricts-nothing"]
        self.told(
            f"attached beside the base policy, {len(useless)} of its statements restrict nothing",
            ok=bool(useless),
        )
        self.told(
            f"and {len(let_through)} calls that must be refused would go through",
            ok=bool(let_through),
        )
        count = len(offline.judgements)
        self.told(f"{count} expectations hold according to our own engine", ok=not offline.failed)

    def _bootstrap(self, site: Site, policy: RenderedPolicy) -> WorkerManager:
        env_file = self.folder / ".env"
        delivery = Delivery(EnvFile(env_file), self._connect)
        with self.act("Bootstrap: user, policy, attachment, access key"):
            plan = plan_bootstrap(self.admin, site, policy.text, delivery=delivery)
            apply_plan(self.admin, plan)
            again = plan_bootstrap(self.admin, site, policy.text, delivery=delivery)
        key = EnvFile(env_file).look().key
        mode = f"{env_file.stat().st_mode & 0o777:04o}"
        self.told(f"{plan.principal}: {plural(len(plan.changes), 'step')}", ok=bool(plan.changes))
        self.told(f"its key is in .env (mode {mode}), printed nowhere", ok=mode == "0600")
        self.told("a second run has nothing to do", ok=not again.changes)
        if key is None:
            raise AwsError("the bootstrap left no key in the file")
        manager = self._connect(key)
        identity = manager.identity()
        self.told(f"the key signs in as {identity.arn}", ok=identity.arn == site.principal_arn)
        return WorkerManager(manager, guard=site.restrict.guard_tag)

    def _verify(self, site: Site, policy: RenderedPolicy) -> None:
        expectations = derive_expectations(site)
        with self.act("Verify live: iam:SimulatePrincipalPolicy on the user"):
            live = verify_live(self.admin, site.principal_arn, expectations)
            offline = verify_offline(expectations, [policy.document])
        same = [one.answer for one in live.judgements] == [one.answer for one in offline.judgements]
        held = not live.failed and not live.unchecked
        self.told(f"all {len(expectations)} expectations hold, in {live.calls} calls", ok=held)
        self.told("the answers match the offline check", ok=same)

    def _work(self, manager: WorkerManager) -> Worker:
        with self.act("Work with the new key: create a worker"):
            worker = manager.create_instance(
                Launch(name="cml-worker-01", image_id=OWN_IMAGE, instance_type="m5zn.metal")
            )
            manager.update_instance_tags(worker.id, {"Owner": "network-lab"})
            tags = manager.get_instance_tags(worker.id)
            status = manager.get_instance_status(worker.id)
            usage = manager.get_instance_resources_utilization(
                manager.get_instance_details(worker.id)
            )
        tagged = {"ManagedBy": "lablet-cloud-manager", "Owner": "network-lab"}
        self.told(f"{worker.label}, {worker.instance_type}, {status.state}", ok=status.ok)
        self.told(f"tags: {_pairs(tags)}", ok=tagged.items() <= tags.items())
        self.told(f"utilization: {_usage(usage)}", ok=_is_known(usage))
        with self.act("Stop it and start it again"):
            stopped = manager.stop_instance(worker.id)
            started = manager.start_instance(worker.id)
            state = manager.get_instance_details(worker.id).state
        self.told(
            f"{stopped.previous} → {stopped.current} → {started.current}, now {state}",
            ok=state == "running",
        )
        return worker

    def _refusals(self, manager: WorkerManager) -> None:
        ours = self._connect(_key_in(self.folder / ".env"))
        launch = {"ManagedBy": "lablet-cloud-manager"}
        east = REGIONS[0]
        attempts: Mapping[str, Callable[[], object]] = {
            "launch in another region": lambda: _run(ours, "eu-central-1", OWN_IMAGE, launch),
            "launch another type": lambda: _run(ours, east, OWN_IMAGE, launch, "p5.48xlarge"),
            "launch a stranger's image": lambda: _run(ours, east, STRANGERS_IMAGE, launch),
            "terminate another team's instance": lambda: ours.call(
                "ec2", "terminate_instances", InstanceIds=[self.foreign]
            ),
            "mark another team's instance as a worker": lambda: ours.call(
                "ec2", "create_tags", Resources=[self.foreign], Tags=_tags(launch)
            ),
        }
        with self.act("Try five things the policy forbids"):
            answers = {words: _refusal(attempt) for words, attempt in attempts.items()}
        for words, code in answers.items():
            self.told(f"{words}: {code}", ok=code == "UnauthorizedOperation")
        left = manager.get_all_instances(managed_only=False)
        foreign = next(worker for worker in left if worker.id == self.foreign)
        untouched = (foreign.state, foreign.tags.get("ManagedBy")) == ("running", "another-team")
        self.told("and nothing happened: the other team's instance is still running", ok=untouched)

    def _terminate(self, manager: WorkerManager, worker: Worker) -> None:
        with self.act("Terminate the worker"):
            manager.terminate_instance(worker.id)
            state = manager.get_instance_details(worker.id).state
            others = manager.get_all_instances(states=("pending", "running", "stopped"))
        self.told(f"{worker.label} is {state}, no worker is left", ok=not others)

    def _connect(self, key: AccessKey) -> Aws:
        return connect(
            region=self.sandbox.region,
            endpoint_url=self.sandbox.endpoint_url,
            access_key=key.id,
            secret_key=key.secret,
        )


def _run(aws: Aws, region: str, image: str, tags: Mapping[str, str], kind: str = "c5.large") -> str:
    """Launch an instance directly, bypassing our own manager."""
    answer = aws.call(
        "ec2",
        "run_instances",
        region=region,
        ImageId=image,
        InstanceType=kind,
        MinCount=1,
        MaxCount=1,
        TagSpecifications=[{"ResourceType": "instance", "Tags": _tags(tags)}],
    )
    identifier: str = answer["Instances"][0]["InstanceId"]
    return identifier


def _refusal(attempt: Callable[[], object]) -> str:
    """Return AWS's error code for the refused *attempt*, or what happened instead."""
    try:
        attempt()
    except DeniedError as error:
        return error.code
    except AwsError as error:
        return f"not refused by the policy, but {error.code or 'without an answer'}"
    return "ALLOWED"


def _key_in(path: Path) -> AccessKey:
    key = EnvFile(path).look().key
    if key is None:
        raise AwsError(f"there is no key in `{path}`")
    return key


def _tags(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def _pairs(tags: Mapping[str, str]) -> str:
    return ", ".join(f"{key}={value}" for key, value in sorted(tags.items()))


def _usage(usage: Utilization) -> str:
    metrics = (("CPU", usage.cpu), ("memory", usage.memory))
    return ", ".join(
        f"{name} {metric.mean:.1f} %"
        if metric.mean is not None
        else f"{name} unknown ({metric.unknown})"
        for name, metric in metrics
    )


def _is_known(usage: Utilization) -> bool:
    return usage.cpu.mean is not None and usage.memory.mean is not None
