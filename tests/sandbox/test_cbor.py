"""CBOR is read and written as RFC 8949 has it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cml_iam.sandbox._cbor import Moment, decode, encode

# https://www.rfc-editor.org/rfc/rfc8949#name-examples-of-encoded-cbor-da
EXAMPLES: list[tuple[str, Any]] = [
    ("00", 0),
    ("17", 23),
    ("1818", 24),
    ("1903e8", 1000),
    ("1a000f4240", 1_000_000),
    ("1bffffffffffffffff", 18446744073709551615),
    ("20", -1),
    ("3903e7", -1000),
    ("f93e00", 1.5),
    ("fa47c35000", 100000.0),
    ("fbc010666666666666", -4.1),
    ("f4", False),
    ("f5", True),
    ("f6", None),
    ("4401020304", b"\x01\x02\x03\x04"),
    ("6449455446", "IETF"),
    ("62c3bc", "ü"),
    ("80", []),
    ("8301820203820405", [1, [2, 3], [4, 5]]),
    ("a26161016162820203", {"a": 1, "b": [2, 3]}),
    ("c11a514b67b0", datetime(2013, 3, 21, 20, 4, tzinfo=UTC)),
    ("5f42010243030405ff", b"\x01\x02\x03\x04\x05"),
    ("7f657374726561646d696e67ff", "streaming"),
    ("9f018202039f0405ffff", [1, [2, 3], [4, 5]]),
    ("bf61610161629f0203ffff", {"a": 1, "b": [2, 3]}),
]


@pytest.mark.parametrize(("text", "value"), EXAMPLES)
def test_the_examples_of_the_rfc_are_read(text: str, value: Any) -> None:
    assert decode(bytes.fromhex(text)) == value


@pytest.mark.parametrize(
    "text", ["", "18", "ff", "0000", "1c", "81", "9f", "bf61ff", "c074", "61ff", "81" * 99 + "00"]
)
def test_what_is_no_cbor_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the message is for people
        decode(bytes.fromhex(text))


_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**64), 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(_VALUES)
def test_what_is_written_is_read_as_the_same(value: Any) -> None:
    assert decode(encode(value)) == value


@given(st.integers(0, 4_000_000_000))
def test_a_moment_is_read_as_a_time(epoch: int) -> None:
    assert decode(encode(Moment(float(epoch)))) == datetime.fromtimestamp(epoch, UTC)


@given(st.binary(max_size=60))
def test_no_bytes_break_the_reader(data: bytes) -> None:
    try:
        decode(data)
    except (ValueError, OverflowError, OSError, TypeError):
        return
