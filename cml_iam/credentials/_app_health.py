"""Ask the application whether it is well, before its key is changed."""

from __future__ import annotations

from http.client import HTTPException
from typing import Final

from cml_iam.errors import IncompleteError, InputError

SECONDS: Final = 10.0


def ask_health(url: str) -> None:
    """Ask *url* with GET; raises IncompleteError unless it answers with 2xx.

    Nothing of the key is sent. Raises InputError for what is no URL of HTTP.
    """
    from urllib.error import HTTPError
    from urllib.request import Request, urlopen

    if not url.startswith(("http://", "https://")):
        raise InputError(f"not a URL of HTTP: `{url}`")
    try:
        with urlopen(Request(url), timeout=SECONDS):  # noqa: S310 - the scheme is checked above
            return
    except HTTPError as error:
        error.close()
        said = f"answers {error.code}"
    except (OSError, HTTPException, ValueError) as error:
        said = f"does not answer ({type(error).__name__})"
    raise IncompleteError(
        f"the application is not well, so its key is not changed now: `{url}` {said}",
        remedy="repair it, then `cml-iam key resume`; or undo: `cml-iam key rollback`",
    )
