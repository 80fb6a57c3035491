"""Errors of cml-iam as the exception classes of the application."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Literal

from cml_iam import errors

Doing = Literal["creation", "operation", "status", "tags"]
"""What a call is about, for failures that are of no more particular kind."""


@dataclass(frozen=True, slots=True)
class Exceptions:
    """The application's exception classes; each is made with one argument, the message.

    A kind that is left out is raised as *base*, and without *base* as the error of cml-iam, whose
    classes are in `cml_iam.errors`. The error of cml-iam is the cause (`__cause__`) in any case.
    """

    base: type[Exception] | None = None
    authentication: type[Exception] | None = None
    instance_not_found: type[Exception] | None = None
    quota_exceeded: type[Exception] | None = None
    invalid_parameter: type[Exception] | None = None
    instance_creation: type[Exception] | None = None
    instance_operation: type[Exception] | None = None
    status_check: type[Exception] | None = None
    tag_operation: type[Exception] | None = None

    def class_of(self, error: errors.CmlIamError, doing: Doing) -> type[Exception] | None:
        """Return the application's class for *error*, or None to raise it as it is."""
        particular = next(
            (name for kinds, name in _KINDS if isinstance(error, kinds)), _DOING[doing]
        )
        found: type[Exception] | None = getattr(self, particular)
        return found or self.base

    @contextmanager
    def raised(self, doing: Doing) -> Iterator[None]:
        """Raise the application's exceptions for errors of cml-iam in the block."""
        try:
            yield
        except errors.CmlIamError as error:
            kind = self.class_of(error, doing)
            if kind is None:
                raise
            remedy = f" ({error.remedy})" if error.remedy else ""
            raise kind(f"{error.message}{remedy}") from error


_KINDS: Final = (
    ((errors.CredentialsError, errors.DeniedError), "authentication"),
    ((errors.NotFoundError,), "instance_not_found"),
    ((errors.LimitError, errors.CapacityError, errors.ThrottledError), "quota_exceeded"),
    ((errors.InputError, errors.RequestError), "invalid_parameter"),
)
_DOING: Final[dict[Doing, str]] = {
    "creation": "instance_creation",
    "operation": "instance_operation",
    "status": "status_check",
    "tags": "tag_operation",
}
