"""Read regular files of limited size, write files completely or not at all, find our data files."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from cml_iam.errors import CmlIamError, InputError

if TYPE_CHECKING:
    from jinja2 import Environment

LARGEST: Final = 16 << 20
"""The maximum number of bytes; no policy, site file or report is this large."""

_NOT_REGULAR: Final = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def parse_json(text: str | bytes) -> Any:
    """Return the JSON value in *text*; raises ValueError, for one nested too deeply as well."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def open_regular(path: Path, limit: int = LARGEST) -> bytes:
    """Return the bytes of the regular file at *path*, at most *limit*.

    Follows a symbolic link to a regular file. Never blocks, because it refuses a pipe before
    reading it. Raises InputError.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise InputError(f"no such file: `{path}`") from None
    except ValueError:  # a null character
        raise InputError(f"not a file name: `{path}`") from None
    except OSError as error:
        raise _unreadable(path, error) from None
    try:
        return _read(descriptor, path, limit)
    except OSError as error:
        raise _unreadable(path, error) from None
    finally:
        os.close(descriptor)


def regular_text(path: Path, limit: int = LARGEST) -> str:
    """Return the text of the regular file at *path*, with line endings as line feeds.

    Raises InputError like `open_regular`, and for text that is not UTF-8.
    """
    text = decoded(open_regular(path, limit), str(path))
    return text.replace("\r\n", "\n").replace("\r", "\n")


def decoded(data: bytes, name: str) -> str:
    """Return *data*, read from the file *name*, as text; raises InputError if it is not UTF-8."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"`{name}` is not UTF-8 text (byte {error.start})") from None


def _read(descriptor: int, path: Path, limit: int) -> bytes:
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        kind = _NOT_REGULAR.get(stat.S_IFMT(status.st_mode), "something else")
        raise InputError(f"cannot read `{path}`: it is {kind}, not a regular file")
    chunks, room = [], limit + 1
    while room and (chunk := os.read(descriptor, room)):
        chunks.append(chunk)
        room -= len(chunk)
    if not room:
        raise InputError(f"`{path}` is too large: it has more than {limit} bytes")
    return b"".join(chunks)


def _unreadable(path: Path, error: OSError) -> InputError:
    return InputError(f"cannot read `{path}`: {error.strerror}")


def write_whole(path: Path, text: str, *, mode: int) -> None:
    """Write *text* to the file *path* with the permission bits *mode*, completely or not at all.

    Not for secrets, which belong in the stores of `cml_iam.credentials`. Raises InputError if the
    file cannot be written; it then keeps its previous content.
    """
    import tempfile

    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.absolute().parent)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(text.encode("utf-8"))
                file.flush()
                os.fsync(file.fileno())
            Path(name).chmod(mode)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise InputError(f"cannot write `{path}`: {error.strerror}") from None


Folder = Literal["policies", "templates"]


def shipped(kind: Folder) -> Path:
    """Return the folder *kind* of the installed package or of the checkout."""
    # Found by path: importing importlib.resources takes longer than rendering a policy.
    installed = Path(__file__).parent / "_data" / kind
    if installed.is_dir():
        return installed
    checkout = Path(__file__).parents[1] / kind
    if checkout.is_dir():
        return checkout
    raise CmlIamError(
        f"the folder `{kind}` is missing from the installation", remedy="install cml-iam again"
    )


def shipped_text(kind: Folder, name: str) -> str:
    """Return the text of the file *name* in the folder *kind*."""
    return (shipped(kind) / name).read_text("utf-8")


def shipped_templates(kind: Folder, encode: Callable[[Any], str]) -> Environment:
    """Return a Jinja environment for *kind* that encodes every printed value.

    *encode* turns every value into text that cannot become part of the structure; it is the only
    protection against injection. Undefined names are errors.
    """
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    return Environment(
        loader=FunctionLoader(lambda name: shipped_text(kind, name)),
        undefined=StrictUndefined,
        finalize=encode,
        autoescape=False,  # noqa: S701 - *encode* escapes, and the result is not HTML
        keep_trailing_newline=True,
    )
