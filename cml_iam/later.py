"""Import a package's names on first use, so that programs start faster."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from functools import cache
from importlib import import_module
from inspect import getsource
from typing import Any, Final

_IMPORT: Final = re.compile(r"^    from (\S+) import (\([^)]*\)|.*)", re.MULTILINE)


def later(package: str) -> Callable[[str], Any]:
    """Return the `__getattr__` for *package*: it imports what is below `if TYPE_CHECKING:`.

    So the names and their modules stand once, where a type checker reads them. This needs the
    package's source files, as every installation by pip has them.
    """

    @cache
    def modules() -> dict[str, str]:
        try:
            source = getsource(sys.modules[package])
        except OSError as error:
            raise ImportError(f"{package} is installed without its source files") from error
        imports = _IMPORT.findall(source)
        return {name: module for module, names in imports for name in re.findall(r"\w+", names)}

    def imported(name: str) -> Any:
        if name.startswith("__") or name not in modules():
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(import_module(modules()[name]), name)
        setattr(sys.modules[package], name, value)
        return value

    return imported
