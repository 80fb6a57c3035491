"""Whatever a report says, and whatever is given as one."""

from __future__ import annotations

import json
from typing import Any
from xml.etree import ElementTree as ET

from hypothesis import given, settings
from hypothesis import strategies as st

from cml_iam.audit import Report
from cml_iam.audit.write import FORMS, read_report, write_report
from cml_iam.errors import InputError
from tests.audit.write import samples
from tests.audit.write.test_html import page

TEXTS = st.text(st.characters(), max_size=40) | st.text(
    "|`<>&[]()*_#\\\n\r\t\x1b{}%:@\"' ", max_size=20
)
FULL = write_report(samples.COMPARED, "json")


@settings(max_examples=30)
@given(TEXTS)
def test_any_text_is_written_in_every_form_and_read_again(text: str) -> None:
    report = samples.hostile(text)
    written = {form: write_report(report, form) for form in FORMS}

    assert read_report(written["json"], "report.json") == report
    json.loads(written["sarif"])
    ET.fromstring(written["junit"])  # noqa: S314 - ours
    tags = {tag for tag, _ in page(report).tags}
    assert not tags & {"script", "img", "iframe", "link", "object"}
    assert all(each.encode("utf-8") for each in written.values())


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in parsed JSON."""
    found = [path]
    if isinstance(value, dict | list):
        for key, each in value.items() if isinstance(value, dict) else enumerate(value):
            found += places(each, (*path, key))
    return found


PLACES = places(json.loads(FULL))[1:]
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=4,
)


@settings(max_examples=60)
@given(st.sampled_from(PLACES), VALUES)
def test_a_report_with_anything_anywhere_is_read_or_refused(
    path: tuple[Any, ...], value: Any
) -> None:
    changed = json.loads(FULL)
    inner = changed
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    read = read_or_refused(json.dumps(changed))
    if read is not None:
        for form in FORMS:
            write_report(read, form)


@given(st.text(max_size=60))
def test_any_text_at_all_is_refused_in_words(text: str) -> None:
    assert read_or_refused(text) is None


def read_or_refused(text: str) -> Report | None:
    """Return the report; None where it is refused as an input, in words. Nothing else is raised."""
    try:
        return read_report(text, "report.json")
    except InputError as error:
        return None if str(error) else samples.EMPTY
