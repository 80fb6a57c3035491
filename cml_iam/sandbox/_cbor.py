"""Concise Binary Object Representation, as far as AWS's protocol of that name uses it.

https://www.rfc-editor.org/rfc/rfc8949 · https://smithy.io/2.0/additional-specs/protocols/smithy-rpc-v2.html
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final


@dataclass(frozen=True, slots=True)
class Moment:
    """A point in time to encode: *epoch* seconds."""

    epoch: float


_UNSIGNED, _NEGATIVE, _BYTES, _TEXT, _ARRAY, _MAP, _TAG, _SIMPLE = range(8)
_INDEFINITE: Final = 31
_EPOCH_TAG: Final = 1
_DEEPEST: Final = 64
_BREAK: Final = object()
_FLOATS: Final = {25: ">e", 26: ">f", 27: ">d"}
_CONSTANTS: Final = {20: False, 21: True, 22: None, 23: None}


def decode(data: bytes) -> Any:
    """Return the value of *data*; a time (tag 1) is a datetime. Raises ValueError."""
    reader = _Reader(data)
    value = reader.item(0)
    if value is _BREAK or reader.at != len(data):
        raise ValueError("not one CBOR item")
    return value


def encode(value: Any) -> bytes:
    """Return *value* (None, bool, int, float, text, bytes, Moment, list, dict) as CBOR."""
    match value:
        case None:
            return b"\xf6"
        case bool():
            return b"\xf5" if value else b"\xf4"
        case int():
            return _head(_UNSIGNED, value) if value >= 0 else _head(_NEGATIVE, -1 - value)
        case float():
            return b"\xfb" + struct.pack(">d", value)
        case str():
            text = value.encode()
            return _head(_TEXT, len(text)) + text
        case bytes():
            return _head(_BYTES, len(value)) + value
        case Moment():
            return _head(_TAG, _EPOCH_TAG) + encode(value.epoch)
        case list() | tuple():
            return _head(_ARRAY, len(value)) + b"".join(encode(each) for each in value)
        case dict():
            pairs = (encode(key) + encode(each) for key, each in value.items())
            return _head(_MAP, len(value)) + b"".join(pairs)
    raise TypeError(f"not a value of CBOR: {type(value).__name__}")


def _head(kind: int, size: int) -> bytes:
    for code, form, limit in ((24, ">B", 8), (25, ">H", 16), (26, ">I", 32), (27, ">Q", 64)):
        if size < 24:
            return bytes([kind << 5 | size])
        if size < 1 << limit:
            return bytes([kind << 5 | code]) + struct.pack(form, size)
    raise ValueError("an integer of more than 64 bits")


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, count: int) -> bytes:
        if self.at + count > len(self.data):
            raise ValueError("CBOR ends too early")
        self.at += count
        return self.data[self.at - count : self.at]

    def item(self, depth: int) -> Any:
        if depth > _DEEPEST:
            raise ValueError("CBOR nested too deeply")
        first = self.take(1)[0]
        kind, info = first >> 5, first & 31
        if kind == _SIMPLE:
            return self.simple(info)
        if info == _INDEFINITE:
            return self.indefinite(kind, depth)
        return self.sized(kind, self.size(info), depth)

    def size(self, info: int) -> int:
        if info < 24:
            return info
        if info > 27:
            raise ValueError("a reserved length of CBOR")
        return int.from_bytes(self.take(1 << info - 24), "big")

    def simple(self, info: int) -> Any:
        if info == _INDEFINITE:
            return _BREAK
        if info in _CONSTANTS:
            return _CONSTANTS[info]
        if info in _FLOATS:
            form = _FLOATS[info]
            return struct.unpack(form, self.take(struct.calcsize(form)))[0]
        raise ValueError("a simple value of CBOR that AWS does not use")

    def sized(self, kind: int, size: int, depth: int) -> Any:
        match kind:
            case 0:
                return size
            case 1:
                return -1 - size
            case 2:
                return self.take(size)
            case 3:
                return self.take(size).decode()
            case 4:
                return [self.whole(depth) for _ in range(size)]
            case 5:
                return {self.whole(depth): self.whole(depth) for _ in range(size)}
        value = self.whole(depth)
        if size != _EPOCH_TAG or not isinstance(value, int | float):
            raise ValueError("a tag of CBOR that AWS does not use")
        return datetime.fromtimestamp(value, UTC)

    def whole(self, depth: int) -> Any:
        value = self.item(depth + 1)
        if value is _BREAK:
            raise ValueError("a break out of place")
        return value

    def indefinite(self, kind: int, depth: int) -> Any:
        items = []
        while (value := self.item(depth + 1)) is not _BREAK:
            items.append(value)
        match kind:
            case 2:
                return b"".join(items)
            case 3:
                return "".join(items)
            case 4:
                return items
            case 5 if len(items) % 2 == 0:
                return dict(zip(items[::2], items[1::2], strict=True))
        raise ValueError("an indefinite length where CBOR has none")
