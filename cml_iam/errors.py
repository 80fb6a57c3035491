"""The exceptions that cml-iam raises; each class has its kind of remedy and its exit code.

    CmlIamError
    ├── InputError              an input is wrong: a file, a value, an option
    │   ├── DocumentError       a document cannot be read or breaks its grammar; lists every problem
    │   ├── SiteError           the site file is wrong; lists every problem
    │   └── QuotaError          a document is larger than AWS accepts
    ├── UnsupportedError        an element of the policy language the engine does not know
    ├── MissingExtraError       a command needs an optional dependency
    ├── RefusedError            continuing would be unsafe or change foreign resources
    ├── IncompleteError         the work is only partly done; says what is left to do
    └── AwsError                AWS answered with an error, or did not answer
        ├── CredentialsError    no credentials, or AWS does not accept them
        ├── DeniedError         the principal lacks a permission
        ├── NotFoundError       no such user, policy, instance, image …
        ├── StateError          the resource is in the wrong state for this
        ├── ProtectedError      the resource is protected against this
        ├── CapacityError       AWS has no capacity for it at present
        ├── LimitError          a quota of the account is used up
        ├── ThrottledError      too many requests
        ├── NotOfferedError     not offered in this region, zone or account
        ├── RequestError        AWS calls a value of the request invalid
        └── UnreachableError    no answer: wrong endpoint, no network, timeout

A message says what happened, in lower case without a final period.
"""

from __future__ import annotations

from typing import NamedTuple


class Place(NamedTuple):
    """A position in a file: *line* and *column* count from 1.

    Both are 0 if only the *file* is known, as for text embedded in another value.
    """

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file


class Problem(NamedTuple):
    """A problem of an input: what is wrong, where, and what to do."""

    message: str
    place: Place | None = None
    remedy: str | None = None

    def as_json(self) -> dict[str, str | None]:
        """Return the problem as JSON values."""
        place = str(self.place) if self.place else None
        return {"message": self.message, "place": place, "remedy": self.remedy}

    def __str__(self) -> str:
        where = f"{self.place}: " if self.place else ""
        remedy = f" ({self.remedy})" if self.remedy else ""
        return f"{where}{self.message}{remedy}"


class CmlIamError(Exception):
    """The root of the tree; *remedy* says what to do about it."""

    def __init__(self, message: str, *, remedy: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy


class InputError(CmlIamError):
    """An input is wrong: a file, a value, an option."""


class DocumentError(InputError):
    """A document cannot be read or breaks its grammar; *problems* lists everything wrong."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


class SiteError(DocumentError):
    """The site file is wrong; *problems* lists everything wrong."""


class QuotaError(InputError):
    """A document is larger than AWS accepts."""


class UnsupportedError(CmlIamError):
    """A policy element that the engine does not know and does not guess at."""


class MissingExtraError(CmlIamError):
    """A command needs an optional dependency that is not installed."""


class RefusedError(CmlIamError):
    """Continuing would be unsafe or change foreign resources."""


class IncompleteError(CmlIamError):
    """The work is only partly done; the message says what is left to do."""


class AwsError(CmlIamError):
    """AWS answered with an error, or did not answer.

    *code* is AWS's error code and *operation* the API operation; both are empty when unknown.
    """

    def __init__(
        self, message: str, *, code: str = "", operation: str = "", remedy: str | None = None
    ) -> None:
        super().__init__(message, remedy=remedy)
        self.code = code
        self.operation = operation

    def as_json(self) -> dict[str, str | None]:
        """Return the error as JSON values."""
        return {
            "kind": type(self).__name__,
            "code": self.code,
            "message": self.message,
            "remedy": self.remedy,
        }


class CredentialsError(AwsError):
    """No credentials, or AWS does not accept them."""


class DeniedError(AwsError):
    """The principal lacks a permission; *action* names it if AWS reports it.

    *encoded* is EC2's whole encoded message, for sts:DecodeAuthorizationMessage.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str = "",
        operation: str = "",
        remedy: str | None = None,
        action: str = "",
        encoded: str = "",
    ) -> None:
        super().__init__(message, code=code, operation=operation, remedy=remedy)
        self.action = action
        self.encoded = encoded

    @property
    def refused(self) -> str:
        """The refusal in words, with the permission if AWS names it, otherwise the error code."""
        return f"{self.action or self.code} is denied"


class NotFoundError(AwsError):
    """There is no such user, policy, instance, image or the like."""


class StateError(AwsError):
    """The resource is in the wrong state for the operation."""


class ProtectedError(AwsError):
    """The resource is protected against the operation."""


class CapacityError(AwsError):
    """AWS has no capacity for this at present."""


class LimitError(AwsError):
    """A quota of the account is used up."""


class ThrottledError(AwsError):
    """Too many requests."""


class NotOfferedError(AwsError):
    """Not offered in this region, zone or account."""


class RequestError(AwsError):
    """AWS calls a value of the request invalid."""


class UnreachableError(AwsError):
    """No answer: a wrong endpoint, no network, or a timeout."""
