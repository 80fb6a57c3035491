"""AWS behind one small port; the only package that imports botocore."""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from cml_iam.aws.port import Aws, Counted, Identity, Session, is_read

if TYPE_CHECKING:
    from cml_iam.aws._connect import check_account, connect, source_of
    from cml_iam.aws._greeting import Greeting, greet
    from cml_iam.aws._source import Source, find_source

_LATER: Final = {
    "Greeting": "_greeting",
    "Source": "_source",
    "check_account": "_connect",
    "connect": "_connect",
    "find_source": "_source",
    "greet": "_greeting",
    "source_of": "_connect",
}
"""Names that only callers of AWS need, by file: imported when asked for, since starting counts."""

__all__ = [
    "Aws",
    "Counted",
    "Greeting",
    "Identity",
    "Session",
    "Source",
    "check_account",
    "connect",
    "find_source",
    "greet",
    "is_read",
    "source_of",
]


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_LATER[name]}"), name)
    globals()[name] = value
    return value
