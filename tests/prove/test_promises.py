"""A site's policies keep every promise; what widens them breaks one, with calls that show it."""

from __future__ import annotations

import json

import pytest

from cml_iam.engine import compile_policies
from cml_iam.errors import DocumentError
from cml_iam.policy import PolicyDocument, parse_policy
from cml_iam.prove import (
    Policies,
    Proof,
    equivalent,
    prove_promise,
    prove_site,
    site_promises,
    within,
)
from cml_iam.render import render_document, render_parts, render_policy
from cml_iam.site import Restrictions, Site, Tag
from tests.expectations.mutants import mutants
from tests.expectations.test_expectations import EVERYTHING, SITE, SUBSETS
from tests.render.random_sites import random_site

BASE = render_policy(None, "base").document
EVERYTHING_ALLOWED = parse_policy(
    '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}',
    "AdministratorAccess",
)
GUARDED = [site for site in SUBSETS if site.restrict.active]


def hardened(site: Site) -> tuple[PolicyDocument, ...]:
    return tuple(part.document for part in render_parts(site))


def broken(site: Site, policies: Policies) -> dict[str, Proof]:
    """Return the promises that do not hold; every call of theirs is allowed by the engine."""
    found = {e.promise.id: e for e in prove_site(site, policies) if e.answer != "holds"}
    authorizer = compile_policies(identity=policies.identity, boundary=policies.boundary)
    for proof in found.values():
        assert proof.answer == "broken", proof.reason
        assert proof.calls
        assert all(authorizer.decide(call.request).allowed for call in proof.calls)
    return found


def name(site: Site) -> str:
    return "+".join(sorted(site.restrict.active)) or "none"


@pytest.mark.parametrize("site", SUBSETS, ids=name)
def test_the_hardened_policy_keeps_every_promise(site: Site) -> None:
    assert not broken(site, Policies(hardened(site)))


@pytest.mark.parametrize("site", SUBSETS, ids=name)
def test_the_boundary_keeps_every_promise_beside_the_base(site: Site) -> None:
    boundary = render_document(site, "boundary").document
    assert not broken(site, Policies((BASE,), (boundary,)))


@pytest.mark.parametrize("site", GUARDED, ids=name)
def test_the_guard_keeps_every_promise_beside_administrator_access(site: Site) -> None:
    guard = render_document(site, "guard").document
    assert not broken(site, Policies((EVERYTHING_ALLOWED, guard)))


@pytest.mark.parametrize("site", SUBSETS, ids=name)
def test_the_boundary_beside_the_base_means_the_same_as_the_hardened_policy(site: Site) -> None:
    boundary = render_document(site, "boundary").document
    verdict = equivalent(Policies((BASE,), (boundary,)), Policies(hardened(site)))
    assert verdict.answer == "holds", verdict


def test_every_option_and_grant_is_a_promise_that_is_kept() -> None:
    promised = {promise.id for promise in site_promises(EVERYTHING)}
    assert promised >= {
        "subnets",
        "security-groups",
        "imdsv2",
        "on-demand-only",
        "encrypted-volumes",
        "mfa-to-terminate",
        "source-ips",
        "pass-role",
    }
    assert not broken(EVERYTHING, Policies(hardened(EVERYTHING)))
    guard = render_document(EVERYTHING, "guard").document
    assert not broken(EVERYTHING, Policies((EVERYTHING_ALLOWED, guard)))


@pytest.mark.parametrize("seed", range(3))
def test_sites_at_random_keep_every_promise_in_every_form(seed: int) -> None:
    site = random_site(seed)
    assert not broken(site, Policies(hardened(site)))
    guard = render_document(site, "guard").document
    assert not broken(site, Policies((EVERYTHING_ALLOWED, guard)))


def test_the_base_policy_breaks_every_promise_of_a_restriction() -> None:
    assert broken(SITE, Policies((BASE,))).keys() == {
        "regions",
        "instance-types",
        "images",
        "foreign-operated",
        "foreign-retagged",
        "guard-tag-kept",
        "launch-resources",
        "launch-tagged",
        "operated-resources",
        "tagged-resources",
    }


def test_every_option_is_broken_by_the_base_policy_too() -> None:
    promised = {promise.id for promise in site_promises(EVERYTHING)}
    kept = promised - broken(EVERYTHING, Policies((BASE,))).keys()
    # The base passes no role at all.
    assert kept == {"within-base", "catalogue", "pass-role"}


def test_administrator_access_breaks_every_promise() -> None:
    found = broken(EVERYTHING, Policies((EVERYTHING_ALLOWED,)))
    assert found.keys() == {promise.id for promise in site_promises(EVERYTHING)}


def test_restrictions_added_beside_the_base_policy_restrict_nothing() -> None:
    """The guide's snippets as it prints them: Allows beside an Allow of everything."""
    snippets = document(
        allow(["ec2:*"], {"StringEquals": {"aws:RequestedRegion": ["us-east-1", "us-west-2"]}}),
        allow(
            ["ec2:StartInstances", "ec2:StopInstances", "ec2:TerminateInstances"],
            {"StringEquals": {"ec2:ResourceTag/ManagedBy": "cml-cloud-manager"}},
        ),
        allow(["ec2:RunInstances"], {"StringEquals": {"ec2:InstanceType": ["c5.2xlarge"]}}),
    )
    found = broken(SITE, Policies((BASE, snippets)))
    assert broken(SITE, Policies((BASE,))).keys() <= found.keys()


def test_a_tag_gate_that_the_caller_can_open_is_broken_in_two_calls() -> None:
    """https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/supported-iam-actions-tagging.html"""
    gate = document(
        allow(
            ["ec2:StartInstances", "ec2:StopInstances", "ec2:TerminateInstances"],
            {"StringEquals": {"ec2:ResourceTag/ManagedBy": "cml-cloud-manager"}},
        ),
        allow(["ec2:CreateTags"], {}),
    )
    proof = broken(SITE, Policies((gate,)))["foreign-operated"]
    assert [call.request.action for call in proof.calls] == [
        "ec2:CreateTags",
        "ec2:TerminateInstances",
    ]
    assert len({call.request.resource for call in proof.calls}) == 1


def test_whatever_is_taken_from_the_hardened_policy_is_told_from_it_by_a_request() -> None:
    """`fuzz/promises.py` asks the same of a site with every option."""
    text = render_policy(SITE).text
    original = Policies((parse_policy(text),))
    verdicts = {m.name: equivalent(Policies((m.document,)), original) for m in mutants(text)}
    assert {name for name, verdict in verdicts.items() if verdict.answer != "broken"} == set()


def test_a_condition_taken_from_the_hardened_policy_breaks_its_promise() -> None:
    text = render_policy(SITE).text
    original = Policies((parse_policy(text),))
    shown = {}
    for mutant in mutants(text):
        changed = Policies((mutant.document,))
        if "without Condition/" in mutant.name and within(changed, original).answer == "broken":
            shown[mutant.name] = broken(SITE, changed).keys()
    assert len(shown) > 10
    # A launch needs several resources: while the others keep it in the regions, it is made nowhere
    # else, and `policy verify` refuses it.
    assert {name for name, found in shown.items() if not found} == {
        f"{label} without Condition/StringEquals/aws:RequestedRegion"
        for label in ("LaunchInstance", "LaunchSupportingResources")
    }


def test_what_closes_a_promise_was_proved_to_close_it() -> None:
    for proof in prove_site(SITE, Policies((BASE,))):
        if proof.answer == "broken":
            assert proof.edits or proof.denies, proof.promise.id


def test_a_condition_is_offered_where_it_takes_no_needed_call_away() -> None:
    text = render_policy(SITE).text
    opened = json.loads(text)
    for statement in opened["Statement"]:
        if statement["Sid"] == "OperateWorkers":
            del statement["Condition"]["StringEquals"]["aws:ResourceTag/ManagedBy"]
    policies = Policies((parse_policy(json.dumps(opened, indent=1), "opened.json"),))
    proof = broken(SITE, policies)["foreign-operated"]
    (edit,) = proof.edits
    assert edit.statement.sid == "OperateWorkers"
    assert edit.added == {"StringEquals": {"aws:ResourceTag/ManagedBy": ["cml-cloud-manager"]}}
    assert not proof.denies


def test_a_policy_that_iam_would_not_attach_is_refused() -> None:
    policy = document({"Effect": "Allow", "Action": "ec2:*"})
    with pytest.raises(DocumentError, match="neither `Resource` nor `NotResource`"):
        prove_site(SITE, Policies((policy,)))


def document(*statements: dict[str, object]) -> PolicyDocument:
    value = {"Version": "2012-10-17", "Statement": list(statements)}
    return parse_policy(json.dumps(value), "test.json")


def allow(actions: list[str], condition: dict[str, dict[str, object]]) -> dict[str, object]:
    return {"Effect": "Allow", "Action": actions, "Resource": "*", "Condition": condition}


TAGGED = Site(account="111122223333", restrict=Restrictions(image_tag=Tag("Golden", "yes")))


def test_a_tag_that_an_image_gets_while_it_is_made_breaks_the_promise_of_images() -> None:
    copied = ["CopyImage", "CreateImage"]
    more = document(
        {"Effect": "Allow", "Action": [f"ec2:{each}" for each in copied], "Resource": "*"},
        allow(["ec2:CreateTags"], {"StringEquals": {"ec2:CreateAction": copied}})
        | {"Resource": "arn:aws:ec2:*::image/*"},
    )

    found = broken(TAGGED, Policies((*hardened(TAGGED), more)))

    assert not broken(TAGGED, Policies(hardened(TAGGED)))
    assert found.keys() == {"within-base", "catalogue", "images-not-tagged"}


def test_what_no_policy_can_promise_is_listed_with_the_promise() -> None:
    proofs = prove_site(EVERYTHING, Policies(hardened(EVERYTHING)))

    limits = {e.promise.id: [a.text for a in e.assumptions if a.kind == "limit"] for e in proofs}
    assert {name for name, texts in limits.items() if texts} == {
        *("regions", "foreign-operated", "security-groups"),
    }
    assert "existing network interface" in limits["security-groups"][0]
    assert "managedby=cml-cloud-manager" in limits["foreign-operated"][0]
    assert not any(proof.limited for proof in proofs)


def launch(*resources: str, **conditions: dict[str, list[str]]) -> dict[str, object]:
    made: dict[str, object] = {"Effect": "Allow", "Action": "ec2:RunInstances"}
    return made | {"Resource": list(resources)} | ({"Condition": conditions} if conditions else {})


def outside(*statements: dict[str, object]) -> Proof:
    """Return how the promise about regions comes out."""
    document = parse_policy(json.dumps({"Version": "2012-10-17", "Statement": statements}), "p")
    promise = next(each for each in site_promises(SITE) if each.id == "regions")
    return prove_promise(promise, Policies((document,)))


SOME = [f"arn:aws:ec2:*:*:{kind}/*" for kind in ("network-interface", "security-group", "subnet")]
IMAGE, INSTANCE = "arn:aws:ec2:*::image/*", "arn:aws:ec2:*:*:instance/*"


def test_a_launch_that_cannot_be_made_as_a_whole_is_not_done_outside_the_regions() -> None:
    here = {"StringEquals": {"aws:RequestedRegion": list(SITE.restrict.regions)}}
    one = outside(launch(INSTANCE), launch(IMAGE, *SOME, **here))

    assert one.answer == "holds"
    assert "a launch needs an image" in " ".join(assumption.text for assumption in one.assumptions)
    assert outside(launch(INSTANCE, IMAGE, *SOME)).answer == "broken"


def test_a_launch_is_one_in_some_region_in_which_all_that_it_needs_is_allowed() -> None:
    frankfurt = launch(INSTANCE.replace("ec2:*", "ec2:eu-central-1"))
    ireland = launch(INSTANCE.replace("ec2:*", "ec2:eu-west-1"))
    image = IMAGE.replace("ec2:*", "ec2:eu-west-1")

    assert outside(frankfurt, ireland, launch(image, *SOME)).answer == "broken"
    assert outside(frankfurt, launch(image, *SOME)).answer == "undecided"
