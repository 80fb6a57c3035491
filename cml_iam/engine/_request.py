"""What is asked: whether a principal may do an action on a resource, in a context."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from cml_iam.errors import InputError
from cml_iam.policy import scalar_text

if TYPE_CHECKING:
    from collections.abc import Mapping

_NO_CONTEXT: Final[Mapping[str, Any]] = {}


class Request(NamedTuple):
    """One authorization question.

    *action* is `service:Name` in any case. *resource* is an ARN, or `*` for actions on no resource
    in particular. *principal* is an ARN, a service name, a federated provider or a canonical user
    id; None is an anonymous caller. *context* maps condition keys (any case) to a text, or to a
    list or tuple of texts for a key with several values; numbers and booleans are read as IAM
    reads them in JSON, and None is a key that is absent. No key may stand there in two spellings.
    *resource_account* owns the resource; None supposes the principal's own, or with a resource
    policy the account in the ARN.

    A named tuple because millions of them are made; do not change *context* after asking.
    """

    action: str
    resource: str = "*"
    principal: str | None = None
    context: Mapping[str, Any] = _NO_CONTEXT
    resource_account: str | None = None


def single_text(value: Any) -> str | None:
    """Return the one text of a context value, or None where the key has several values.

    A list has several values even when it holds one: what counts is the type of the key.
    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-single-vs-multi-valued-context-keys.html
    """
    if isinstance(value, str):
        return value
    if isinstance(value, list | tuple | set | frozenset):
        return None
    return _scalar(value)


def all_texts(value: Any) -> tuple[str, ...]:
    """Return the texts of a context value; one value stands for a list of one."""
    if isinstance(value, list | tuple | set | frozenset):
        return tuple(_scalar(each) for each in value)
    return (_scalar(value),)


def _scalar(value: Any) -> str:
    if isinstance(value, str | bool | int | float):
        return scalar_text(value)
    raise InputError(f"a context value cannot be of the type `{type(value).__name__}`")
