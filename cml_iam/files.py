"""Text files written whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

from cml_iam.errors import InputError


def write_whole(path: Path, text: str, *, mode: int) -> None:
    """Put *text* into the file *path*, with the permission bits *mode*: all of it or nothing.

    Not for secrets: for these see the stores of `cml_iam.credentials`. Raises InputError where it
    cannot be written; then what was there before is there still.
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
