"""One tag marks the workers: only tagged instances can be operated, and only a launch sets the tag.

Whoever sets the tag decides which instances are workers. EC2 itself sends ec2:CreateAction, so a
policy can allow all tags during a launch, and later all tags except the guard tag, in any case.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from cml_iam.facts import LATER, TAGGING, Assumption
from cml_iam.policy import Shape, merged
from cml_iam.restrict._options import Contradiction, Restricted, tag
from cml_iam.restrict._row import Case, KeyTest, Promise, Restriction, Rule, every, operations, own
from cml_iam.tag import DEFAULT_TAG, Tag

CREATE, DELETE = TAGGING
TAG_CASE: Final = "https://docs.aws.amazon.com/IAM/latest/UserGuide/access_tags.html#access_tags_control-resources"

AT_LAUNCH: Final = KeyTest("ec2:CreateAction", "RunInstances")


class TagTests(NamedTuple):
    """The tests of a request for the guard tag.

    aws:RequestTag ignores the case of the tag's key, as all names of condition keys do. aws:TagKeys
    has the key as a value, so it checks the spelling (*spells*). DeleteTags without keys deletes
    all tags, and ForAllValues is true without keys, so at least one must be *named*.
    """

    carries: KeyTest
    sets: KeyTest
    spells: KeyTest
    spares: KeyTest
    named: KeyTest


def tag_tests(mark: Tag) -> TagTests:
    """Return the tests of the guard tag *mark*."""
    return TagTests(
        carries=KeyTest(f"aws:ResourceTag/{mark.key}", mark.value),
        sets=KeyTest(f"aws:RequestTag/{mark.key}", mark.value),
        spells=KeyTest("aws:TagKeys", (mark.key,), "ForAnyValue:StringEquals"),
        spares=KeyTest("aws:TagKeys", (mark.key,), "ForAllValues:StringNotEqualsIgnoreCase"),
        named=KeyTest("aws:TagKeys", "false", "Null"),
    )


def guard_tag(site: Restricted) -> Tag:
    """Return the guard tag, or an example if the site has none."""
    return site.restrict.guard_tag or DEFAULT_TAG


def launch_note(site: Restricted, *policies: str) -> str:
    """Return a sentence on the tag that CML Cloud Manager must send at launch, and its setting.

    Empty if *site* has no guard tag, or if none of the texts *policies* requires one.
    """
    mark = site.restrict.guard_tag
    if mark is None:
        return ""
    if policies and not any(f"aws:RequestTag/{mark.key}" in text for text in policies):
        return ""
    return (
        f"every launch must carry the guard tag `{mark}`: CML Cloud Manager sends it if it is "
        "among `default_tags` in the worker-controller's `aws_regions.yaml`; its older client "
        "sends only `Name` and cannot launch under any guard tag"
    )


def send_fix(mark: Tag) -> str:
    """Return how to make CML Cloud Manager send the guard tag *mark*, and to tell cml-iam."""
    return (
        f"add `{mark}` to `default_tags` of the worker-controller's region file, then to "
        "`[manager] tags`"
    )


def _rules(site: Restricted) -> Iterator[Rule]:
    tests = tag_tests(guard_tag(site))
    created = [every(site, kind) for kind in ("network-interface", "volume")]
    yield Rule("DenyLaunchWithoutGuardTag", (tests.sets,))
    yield Rule("DenyLaunchMisspeltGuardTag", (tests.spells,))
    yield Rule("DenyOperateOthers", (tests.carries,), operations(site), type="")
    yield Rule("DenyTagOthers", (tests.carries, AT_LAUNCH), TAGGING, type="")
    yield Rule("DenyTagDisksAndInterfacesLater", (AT_LAUNCH,), TAGGING, resources=created)
    yield Rule("DenyGuardTagEdit", (tests.spares, AT_LAUNCH), TAGGING, type="")
    yield Rule("DenyTagWipe", (tests.named,), DELETE, type="")


def _promises(site: Restricted) -> Iterator[Promise]:
    mark, instances = guard_tag(site), (every(site, "instance"),)
    tests, workers = tag_tests(mark), own(site, "instance")
    created = tuple(own(site, kind) for kind in ("network-interface", "volume"))
    launch = [rule for rule in _rules(site) if "Launch" in rule.sid]
    yield Promise(
        "foreign-operated",
        "no instance without the guard tag can be operated, in any number of steps",
        (Shape(operations(site), instances),),
        "taken over",
        tests.carries.holds,
        (_other_case(mark),),
        mark,
    )
    yield Promise(
        "foreign-retagged",
        "no tag of an instance without the guard tag can be changed",
        (Shape(TAGGING, instances, merged(tests.carries.fails, LATER)),),
        closing=tests.carries.holds,
    )
    yield Promise(
        "guard-tag-kept",
        "no worker can lose the guard tag",
        (Shape(TAGGING, instances),),
        "lost",
        tests.spares.holds,
        tag=mark,
    )
    yield Promise(
        "launch-tagged",
        "no instance can be launched without the guard tag",
        tuple(rule.fails(site) for rule in launch),
        closing=merged(tests.sets.holds, tests.spells.holds),
    )
    yield Promise(
        "operated-resources",
        "only the account's own instances can be operated",
        (Shape(operations(site), not_resources=(workers,)),),
    )
    yield Promise(
        "tagged-resources",
        "only the account's own instances can be tagged, and at launch their disks and interfaces",
        (Shape(TAGGING, not_resources=(workers, *created)), Shape(TAGGING, created, LATER)),
    )


def _other_case(mark: Tag) -> Assumption:
    text = (
        f"an instance with the tag {respelt(mark.key)}={mark.value} counts as one with {mark}: "
        "condition keys ignore the case of a tag's key but EC2 does not, and no policy can "
        "distinguish the two"
    )
    return Assumption("limit", "foreign-operated", text, TAG_CASE)


def _usual(site: Restricted, _: str) -> Mapping[str, Mapping[str, Mapping[str, str]]]:
    mark = guard_tag(site)
    tags = {mark.key: mark.value, "Name": "cml-worker-01"}
    return {"tags": {"instance": tags, "volume": tags}}


def _variants(site: Restricted, region: str) -> Iterator[Mapping[str, object]]:
    """Yield a launch that also tags the network interface."""
    tags = _usual(site, region)["tags"]
    yield {"tags": {**tags, "network-interface": tags["instance"]}}


def _cases(site: Restricted) -> Iterator[Case]:
    mark = guard_tag(site)
    for name, tags in (
        ("without", {"Name": "cml-worker-01"}),
        ("none", {}),
        ("other-value", {mark.key: "another-team"}),
        ("other-case", {respelt(mark.key): mark.value}),
    ):
        words = ", ".join(f"{key}={value}" for key, value in tags.items()) or "no tags"
        changes = {"tags": {"instance": tags} if tags else {}}
        yield Case(f"with {words}", changes, situation="guard tag", name=name)


class Edit(NamedTuple):
    """A call that would set or remove the guard tag on a worker, or on an *untagged* instance.

    *tags* are the tags that CreateTags sets, or the keys that DeleteTags removes.
    """

    name: str
    description: str
    tags: Mapping[str, str] | tuple[str, ...]
    untagged: bool = False


def edits(site: Restricted, action: str) -> tuple[Edit, ...]:
    """Return the edits by *action*: take over an instance; change, respell, remove or wipe tags."""
    mark = guard_tag(site)
    other = respelt(mark.key)
    take_over = "mark an untagged instance as a worker"
    if action == CREATE:
        return (
            Edit("take-over", take_over, {mark.key: mark.value}, untagged=True),
            Edit("change", "change a worker's guard tag", {mark.key: "other"}),
            Edit("respell", "set the guard tag's key in another case", {other: "x"}),
            Edit("among", "set the guard tag among others", {"Owner": "x", mark.key: "x"}),
        )
    return (
        Edit("remove", "remove a worker's guard tag", (mark.key,)),
        Edit("respell", "remove the guard tag's key in another case", (other,)),
        Edit("among", "remove the guard tag among others", ("Owner", mark.key)),
        Edit("wipe", "remove all tags of a worker at once", ()),
    )


def respelt(key: str) -> str:
    """Return *key* in a different case: IAM ignores case in condition key names, EC2 does not."""
    return key.lower() if key != key.lower() else key.upper()


def _contradictions(site: Restricted) -> Iterator[Contradiction]:
    if guard_tag(site).key.lower() == "name":
        yield Contradiction(
            "the guard tag cannot be `Name`: every worker has its own name",
            ("restrict", "guard_tag"),
            'choose another key, such as { ManagedBy = "lablet-cloud-manager" }',
        )


GUARD_TAG = Restriction(
    name="guard_tag",
    main=True,
    options=(
        tag(
            "guard_tag",
            "The tag that marks a managed worker: one key and its value.",
            "the guard tag is one key and its value, such as { ManagedBy = "
            '"lablet-cloud-manager" }',
        ),
    ),
    rules=_rules,
    promises=_promises,
    usual=_usual,
    variants=_variants,
    cases=_cases,
    contradictions=_contradictions,
)
