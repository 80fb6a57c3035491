"""Keep secrets in this package: out of responses, errors and logs."""

from __future__ import annotations

import logging
from typing import Any

from cml_iam.secret import Secret, masked

# The members of AWS's answers that are credentials: of iam:CreateAccessKey, sts:AssumeRole,
# ec2:CreateKeyPair, iam:CreateServiceSpecificCredential and secretsmanager:GetSecretValue; that of
# ssm:GetParameter is recognized by its type.
_SECRET_MEMBERS = frozenset(
    {"KeyMaterial", "SecretAccessKey", "SecretString", "ServicePassword", "SessionToken"}
)
_LEAKING = ("boto3", "botocore")


def wrap(answer: Any) -> Any:
    """Return *answer* with every secret in it wrapped in a `Secret`."""
    if isinstance(answer, list):
        return [wrap(each) for each in answer]
    if not isinstance(answer, dict):
        return answer
    # A parameter of Systems Manager says itself that it is a secret.
    more = {"Value"} if answer.get("Type") == "SecureString" else set()
    return {
        name: Secret(value)
        if name in _SECRET_MEMBERS | more and isinstance(value, str)
        else wrap(value)
        for name, value in answer.items()
    }


def unwrap(parameters: Any, seen: list[str]) -> Any:
    """Return *parameters* in AWS's form, adding every secret in them to *seen*."""
    if isinstance(parameters, Secret):
        seen.append(parameters.reveal())
        return seen[-1]
    if isinstance(parameters, dict):
        return {name: unwrap(value, seen) for name, value in parameters.items()}
    if isinstance(parameters, list | tuple):
        return [unwrap(each, seen) for each in parameters]
    return parameters


def redact(text: str, secrets: list[str]) -> str:
    """Return *text* without any of *secrets*: botocore's error messages repeat parameters.

    Other secrets of this process are removed too, in whatever form they occur.
    """
    for secret in secrets:
        if secret:
            text = text.replace(secret, "***")
    return masked(text)


class _Discreet(logging.Filter):
    """Drops DEBUG records and tracebacks, where botocore logs whole requests; masks secrets.

    Known upstream and closed without a fix: https://github.com/boto/botocore/issues/2626
    """

    def filter(self, record: logging.LogRecord) -> bool:
        record.exc_info = record.exc_text = None
        if record.levelno > logging.DEBUG:
            record.msg, record.args = masked(record.getMessage()), ()
        return record.levelno > logging.DEBUG


_DISCREET = _Discreet()


def silence() -> None:
    """Keep botocore's DEBUG records and tracebacks out of every log of this process.

    A filter, since `boto3.set_stream_logger` or a later `setLevel` would override a level. It is
    added to each logger, because a record passes only the filters of the logger it was logged to.
    """
    for name in list(logging.root.manager.loggerDict):
        if name.partition(".")[0] in _LEAKING:
            logging.getLogger(name).addFilter(_DISCREET)
