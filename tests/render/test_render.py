"""The rendered documents: their text, their size, and that no value can become structure."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cml_iam.catalogue import load_catalogue
from cml_iam.errors import InputError, QuotaError
from cml_iam.files import shipped_text
from cml_iam.policy import parse_policy, policy_size
from cml_iam.render import render_policy
from cml_iam.site import Restrictions, Site, Tag
from tests.conftest import RESTRICTED, SHARED

REFERENCE = SHARED / "reference" / "policies"


@pytest.mark.skipif(not REFERENCE.exists(), reason="the reference policies are not here")
def test_the_base_policy_is_the_specifications() -> None:
    wanted = json.loads((REFERENCE / "base.json").read_text())

    assert json.loads(render_policy(None, "base").text) == wanted


def test_the_base_policy_has_the_documented_statements() -> None:
    document = render_policy(None, "base").document

    assert [(statement.sid, statement.action) for statement in document.statements] == [
        (group.sid, tuple(permission.action for permission in group.permissions))
        for group in load_catalogue().groups
    ]
    assert [statement.sid for statement in document.statements] == [
        "EC2InstanceManagement",
        "EC2TagManagement",
        "CloudWatchMetricsRead",
    ]
    assert {statement.resource for statement in document.statements} == {("*",)}


def test_the_same_site_renders_the_same_bytes(site: Site) -> None:
    assert render_policy(site).text == render_policy(replace(site)).text


def test_the_hardened_policy_needs_a_site() -> None:
    with pytest.raises(InputError, match="needs a site file"):
        render_policy(None, "hardened")


def test_a_policy_over_the_quota_is_refused_with_its_size(site: Site) -> None:
    many = {f"eu-west-{n}": tuple(f"ami-{n:08x}{i:09x}" for i in range(50)) for n in range(1, 4)}
    wide = replace(site, restrict=replace(RESTRICTED, regions=tuple(many), images=many))

    with pytest.raises(QuotaError, match=r"the hardened policy has \d+ characters") as caught:
        render_policy(wide)

    assert "restrict images by owner" in (caught.value.remedy or "")


def test_white_space_does_not_count_towards_the_quota() -> None:
    assert policy_size('{ "a b":\n\t1 }') == len('{"ab":1}')


@pytest.mark.parametrize("name", ["base.json.j2", "hardened.json.j2"])
def test_no_template_puts_a_value_inside_quotes(name: str) -> None:
    """Values are printed as JSON; inside quotes one could end the string."""
    template = re.sub(r"\{#.*?#\}", "", shipped_text("policies", name), flags=re.DOTALL)
    printed = re.sub(r"\{\{.*?\}\}", "\0", template, flags=re.DOTALL)

    strings = re.findall(r'"[^"\n]*"', re.sub(r"\{%.*?%\}", "", printed, flags=re.DOTALL))

    assert strings
    assert not [string for string in strings if "\0" in string]


NASTY = st.text(st.characters(min_codepoint=32, max_codepoint=255), min_size=1, max_size=40) | (
    st.sampled_from(
        [
            'x"}, {"Effect": "Allow", "Action": "*", "Resource": "*',
            "{{ 7 * 7 }}",
            "{% raw %}",
            '\\"',
        ]
    )
)


@given(key=NASTY, value=NASTY, kind=NASTY, region=NASTY, image=NASTY, owner=NASTY, account=NASTY)
def test_no_value_can_add_a_statement(
    key: str, value: str, kind: str, region: str, image: str, owner: str, account: str
) -> None:
    """Even values that no site file lets through stay values."""
    restrict = Restrictions(
        regions=(region, "us-east-1"),
        guard_tag=Tag(key, value),
        instance_types=(kind,),
        image_owners=(owner,),
        images={region: (image,)},
    )

    document = render_policy(Site(account=account, restrict=restrict)).document

    plain = render_policy(Site(account="111122223333", restrict=RESTRICTED)).document
    assert [(e.sid, e.effect, e.action) for e in document.statements] == [
        (e.sid, e.effect, e.action) for e in plain.statements
    ]


def test_what_is_rendered_parses_with_positions(site: Site) -> None:
    text = render_policy(site).text

    document = parse_policy(text, "hardened.json")

    assert document.place(document.statements[1]) is not None
