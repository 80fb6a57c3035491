"""The dashboard for Grafana asks only for what /metrics serves, by the labels it serves."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from cml_iam.errors import UnreachableError
from cml_iam.workers import Check, Health, Listing, Verdict
from cml_iam.workers._cml import CmlAnswer
from cml_iam.workers._model import InstanceStatus
from cml_iam.workers.http_service import exposition
from tests.conftest import REPOSITORY
from tests.workers.fake import NOW
from tests.workers.test_exposition import one, read, watched

BOARD = json.loads((REPOSITORY / "deploy/grafana/cml-workers.json").read_text("utf-8"))
WORDS = {"by", "count", "max", "min", "or", "sort_desc", "sum", "time", "vector"}


def served() -> dict[str, dict[str, set[str]]]:
    """Every family that can be served, each label with the values it has."""
    worker = replace(one("i-1"), launched_at=NOW - timedelta(hours=1))
    seen = watched(worker, i_1=(12.5, 40.0))
    seen = replace(
        seen,
        permissions=(
            Health("us-east-1", ("us-east-1",), (Check("ec2:X", Verdict.REFUSED, "no"),)),
        ),
        fleet=Listing((worker,), {"us-west-2": UnreachableError("no answer")}),
        statuses={"i-1": InstanceStatus("i-1", "running", "ok", "ok")},
        cml={"i-1": CmlAnswer(True, "CML is ready", answered=True)},
    )
    families: dict[str, dict[str, set[str]]] = {}
    for name, labels in read(exposition(seen)):
        found = families.setdefault(name, {})
        for label, value in re.findall(r'(\w+)="(.*?)"', labels):
            found.setdefault(label, set()).add(value)
    return families


def queries() -> Iterator[Any]:
    for panel in BOARD["panels"]:
        for target in panel["targets"]:
            yield pytest.param(target["expr"], target["legendFormat"], id=panel["title"])
    for variable in BOARD["templating"]["list"]:
        if variable["type"] == "query":
            name, label = re.fullmatch(
                r"label_values\((\w+), (\w+)\)", variable["query"]["query"]
            ).groups()  # type: ignore[union-attr]
            yield pytest.param(f"sum by ({label}) ({name})", "", id=variable["name"])


@pytest.mark.parametrize(("query", "legend"), [*queries()])
def test_every_name_and_label_of_a_query_is_served(query: str, legend: str) -> None:
    families = served()
    bare = re.sub(r'"[^"]*"', "", query)
    names = re.findall(r"\bcml_iam_\w+", bare)

    assert names or query.startswith("time()")
    assert set(names) <= families.keys()
    assert bare.count("(") == bare.count(")")
    labels = {label for name in names for label in families[name]}
    for name, selector in re.findall(r"(cml_iam_\w+)\{(.*?)\}", query):
        for label, operator, value in re.findall(r'(\w+)(=~|=)"(.*?)"', selector):
            assert label in families[name], label
            assert operator == "=~" or value in families[name][label]
    for group in re.findall(r"by \((\w+)\)", query):
        assert group in labels
    assert set(re.findall(r"\{\{(\w+)\}\}", legend)) <= labels
    words = set(re.findall(r"\b[a-z_]+\b", re.sub(r"\{.*?\}|by \(\w+\)", "", bare)))
    assert words - set(names) <= WORDS


def test_every_family_is_shown() -> None:
    shown = {each for query in queries() for each in re.findall(r"cml_iam_\w+", query.values[0])}

    assert shown == served().keys()


def test_a_query_for_what_is_not_served_would_be_seen() -> None:
    for query, legend in (
        ("cml_iam_worker_disk_percent", ""),
        ('cml_iam_up{region=~"$region"}', ""),
        ("sum by (zone) (cml_iam_workers)", ""),
        ("cml_iam_workers", "{{name}}"),
        ('cml_iam_checked_timestamp_seconds{what="moon"}', ""),
        ("rate(cml_iam_workers)", ""),
    ):
        with pytest.raises(AssertionError):
            test_every_name_and_label_of_a_query_is_served(query, legend)
