"""Ask an endpoint, without credentials, which server answers and what its time is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Final

from cml_iam import clock, errors
from cml_iam.aws._connect import CONNECT_TIMEOUT
from cml_iam.aws._errors import as_error, botocore_errors
from cml_iam.aws._session import make_session

# Any response is enough, including the refusal of an unsigned request.
_QUESTIONS: Final = {
    "cloudwatch": "list_metrics",
    "ec2": "describe_regions",
    "sts": "get_caller_identity",
}
_READ_TIMEOUT: Final = 10.0


@dataclass(frozen=True, slots=True)
class Greeting:
    """The response of *url*: the *server*, and how many seconds this machine's clock is *ahead*.

    *ahead* is negative if the clock is behind, None if the response has no date; it is accurate to
    about a second.
    """

    service: str
    url: str
    server: str
    ahead: timedelta | None


def greet(
    service: str,
    region: str,
    *,
    profile: str | None = None,
    endpoint_url: str | None = None,
    now: Callable[[], datetime] = clock.now,
) -> Greeting:
    """Send *service* one unsigned request.

    Raises UnreachableError if there is no answer, or if it does not come from AWS.
    """
    from botocore import UNSIGNED
    from botocore.config import Config
    from botocore.exceptions import ClientError

    from cml_iam.aws._bounds import bound

    config = Config(
        signature_version=UNSIGNED,
        connect_timeout=CONNECT_TIMEOUT,
        read_timeout=_READ_TIMEOUT,
        retries={"mode": "standard", "total_max_attempts": 1},
    )
    operation = _QUESTIONS[service]
    url = "there"
    try:
        client = make_session(profile).create_client(
            service, region_name=region, endpoint_url=endpoint_url, config=config
        )
        url = client.meta.endpoint_url
        bound(client)
        before = now()
        try:
            answer = getattr(client, operation)()
        except ClientError as error:
            answer = error.response
        middle = before + (now() - before) / 2
    except botocore_errors() as error:
        failure = as_error(error, service, operation, url)
    except ValueError as error:  # "Invalid endpoint: …"
        failure = errors.InputError(
            f"not an endpoint: {error}", remedy="use a URL such as http://127.0.0.1:4566"
        )
    else:
        headers = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {})
        return Greeting(service, url, headers.get("server", ""), _ahead(headers, middle))
    raise failure


def _ahead(headers: dict[str, Any], here: datetime) -> timedelta | None:
    try:
        there = parsedate_to_datetime(headers["date"])
    except (KeyError, TypeError, ValueError):
        return None
    # The header has whole seconds, so on average it is half a second behind.
    return here - there - timedelta(seconds=0.5)
