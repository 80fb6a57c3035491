"""What the rendered policies must do, they do; and the expectations notice when they do not."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain, combinations

import pytest

from cml_iam.catalogue import load_catalogue
from cml_iam.engine import compile_policies
from cml_iam.expectations import (
    SITUATIONS,
    UNLISTED_ACTIONS,
    Expectation,
    Ruling,
    derive_expectations,
    judge,
)
from cml_iam.policy import PolicyDocument, parse_policy
from cml_iam.render import render_document, render_policy
from cml_iam.site import OPTIONS, RESTRICTIONS, Grants, Restrictions, Site, Tag
from tests.conftest import RESTRICTED, without
from tests.expectations.mutants import mutants

SITE = Site(account="111122223333", restrict=RESTRICTED)
EVERYTHING = Site(
    account="111122223333",
    user=None,
    role="cml-manager",
    restrict=replace(
        RESTRICTED,
        image_tag=Tag("Approved", "cml"),
        subnets=("subnet-0a1b2c3d4e5f60007", "subnet-0a1b2c3d4e5f60008"),
        security_groups=("sg-0a1b2c3d4e5f60007",),
        source_ips=("192.0.2.0/25", "2001:db8::/32"),
        imdsv2=True,
        on_demand_only=True,
        encrypted_volumes=True,
        mfa_to_terminate=True,
    ),
    grant=Grants("cml-worker-s3-read", True, True, True),
)
TAGGED_IMAGES = Site(
    account="111122223333", restrict=Restrictions(image_tag=Tag("Approved", "cml"))
)
DROPPED = tuple(chain.from_iterable(combinations(RESTRICTIONS, n) for n in range(5)))
SUBSETS = tuple(without(SITE, *names) for names in DROPPED)


def _name(site: Site) -> str:
    return "+".join(sorted(site.restrict.active)) or "none"


def broken(
    site: Site, *documents: PolicyDocument, boundary: PolicyDocument | None = None
) -> list[str]:
    """Return the ids of what *documents* do otherwise than *site* means, in any authorization."""
    decide = compile_policies(identity=list(documents), boundary=boundary).decide
    return [
        expectation.id for expectation in derive_expectations(site) if not _met(expectation, decide)
    ]


def unnoticed(site: Site, text: str, *beside: PolicyDocument) -> list[str]:
    """Return the names of the mutants of *text* that do what *site* means all the same."""
    expectations = derive_expectations(site)
    return [
        mutant.name
        for mutant in mutants(text)
        if all(
            _met(expectation, decide)
            for decide in (compile_policies(identity=[*beside, mutant.document]).decide,)
            for expectation in expectations
        )
    ]


def _met(expectation: Expectation, decide: object) -> bool:
    allowed = [decide(request).allowed for request in expectation.requests]  # type: ignore[operator]
    if expectation.expected == "allowed":
        return all(allowed)
    # The restriction itself refuses: each authorization it speaks of, not merely one of the call.
    return not any(allowed[index] for index in expectation.decisive)


def test_there_are_sixteen_subsets() -> None:
    assert len({site.restrict.active for site in SUBSETS}) == 16


@pytest.mark.parametrize("site", SUBSETS, ids=_name)
def test_every_subset_of_restrictions_does_exactly_what_it_means(site: Site) -> None:
    assert broken(site, render_policy(site).document) == []


@pytest.mark.parametrize("site", SUBSETS, ids=_name)
def test_taking_anything_away_from_any_hardened_policy_is_noticed(site: Site) -> None:
    assert unnoticed(site, render_policy(site).text) == []


def test_the_mutants_are_many() -> None:
    """So that the tests beside this one cannot pass for want of mutants."""
    assert sum(1 for site in SUBSETS for _ in mutants(render_policy(site).text)) > 600


def test_the_base_policy_allows_what_the_restrictions_refuse() -> None:
    base = render_policy(None, "base").document

    wrong = broken(SITE, base)

    refused = [
        expectation
        for expectation in derive_expectations(SITE)
        if expectation.expected == "refused"
    ]
    unlisted = {each.id for each in refused if each.permission in UNLISTED_ACTIONS}
    needs_pass_role = {each.id for each in refused if each.id.endswith("-role")}
    assert set(wrong) == {each.id for each in refused} - unlisted - needs_pass_role


def test_the_base_policy_is_what_a_site_without_restrictions_means() -> None:
    assert broken(without(SITE, *RESTRICTIONS), render_policy(None, "base").document) == []


def test_every_permission_is_expected_to_work_and_every_restriction_to_refuse() -> None:
    made = derive_expectations(SITE)

    works = {each.permission for each in made if each.expected == "allowed"}
    assert works == set(load_catalogue().actions)
    assert {name for each in made for name in each.violates} >= set(RESTRICTIONS)
    options = derive_expectations(EVERYTHING)
    assert {each.situation for each in (*made, *options)} == set(SITUATIONS)


def test_every_option_is_expected_to_refuse_and_every_grant_to_work() -> None:
    made = derive_expectations(EVERYTHING)

    assert {name for each in made for name in each.violates} == {*RESTRICTIONS, *OPTIONS}
    granted = {each.action for each in load_catalogue().granted(EVERYTHING.grant.active)}
    works = {each.permission for each in made if each.expected == "allowed"}
    assert works == {*load_catalogue().actions, *granted}


@pytest.mark.parametrize("site", [EVERYTHING, TAGGED_IMAGES], ids=["everything", "image-tag"])
def test_options_do_what_they_mean_and_their_loss_is_noticed(site: Site) -> None:
    rendered = render_policy(site)

    assert broken(site, rendered.document) == []
    assert unnoticed(site, rendered.text) == []


def test_ids_are_unique() -> None:
    ids = [expectation.id for expectation in derive_expectations(SITE)]

    assert len(ids) == len(set(ids))


@pytest.mark.parametrize(
    ("answers", "verdict"),
    [
        ((True, True), "holds"),
        ((True, False), "fails"),
        ((None, False), "fails"),
        ((None, True), "unchecked"),
    ],
)
def test_a_call_is_allowed_if_all_its_authorizations_are(
    answers: tuple[bool | None, bool | None], verdict: str
) -> None:
    (launch, *_) = derive_expectations(Site(account="111122223333", restrict=Restrictions()))
    first, second, *_ = launch.requests

    said = {id(first): answers[0], id(second): answers[1]}
    (judged,) = judge([launch], lambda each: Ruling(said.get(id(each), True)))

    assert judged.verdict == verdict


@pytest.mark.parametrize("partition", ["aws", "aws-cn", "aws-us-gov"])
def test_every_partition_keeps_its_promises(partition: str) -> None:
    regions = {"aws": "eu-west-1", "aws-cn": "cn-north-1", "aws-us-gov": "us-gov-west-1"}
    restrict = Restrictions(
        regions=(regions[partition],),
        guard_tag=RESTRICTED.guard_tag,
        instance_types=("*.metal", "c8i.?xlarge"),
        images={regions[partition]: ("ami-0a1b2c3d4e5f60001",)},
    )
    site = Site(account="111122223333", partition=partition, restrict=restrict)  # type: ignore[arg-type]

    rendered = render_policy(site)

    assert broken(site, rendered.document) == []
    arns = [arn for s in rendered.document.statements for arn in s.resource or () if arn != "*"]
    assert all(arn.startswith(f"arn:{partition}:") for arn in arns)


BASE = render_policy(None, "base").document
ADMINISTRATOR = parse_policy(
    '{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}'
)


@pytest.mark.parametrize("wide", [BASE, ADMINISTRATOR], ids=["base", "administrator"])
@pytest.mark.parametrize("site", [*SUBSETS, EVERYTHING, TAGGED_IMAGES], ids=_name)
def test_boundary_and_guard_hold_whatever_else_is_attached(
    site: Site, wide: PolicyDocument
) -> None:
    if wide is BASE:
        # The base policy holds none of the further permissions a site may grant.
        site = replace(site, grant=Grants())

    boundary = render_document(site, "boundary").document
    guard = render_document(site, "guard").document

    assert broken(site, wide, boundary=boundary) == []
    assert broken(site, wide, guard) == []


@pytest.mark.parametrize("site", [*SUBSETS, EVERYTHING, TAGGED_IMAGES], ids=_name)
def test_taking_anything_away_from_the_guard_is_noticed(site: Site) -> None:
    assert unnoticed(site, render_document(site, "guard").text, ADMINISTRATOR) == []
