"""Live: AWS's simulator decides, about the principal as it is in AWS."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from cml_iam.aws import Counted
from cml_iam.errors import DeniedError, NotFoundError
from cml_iam.expectations import judge
from cml_iam.principal import principal_of_arn, read_holdings
from cml_iam.verify._keys import Doubts, every_key, keys_mentioned, keys_that_matter
from cml_iam.verify._simulator import Simulator
from cml_iam.verify._verification import Verification

if TYPE_CHECKING:
    from cml_iam.aws.port import Aws
    from cml_iam.engine import Request
    from cml_iam.expectations import Expectation, Judgement
    from cml_iam.policy import PolicyDocument


def verify_live(
    aws: Aws,
    principal_arn: str,
    expectations: Iterable[Expectation],
    policies: Sequence[PolicyDocument] | None = None,
) -> Verification:
    """Judge *expectations* by what AWS's simulator says of the principal *principal_arn*.

    *policies* are all that apply to it, its boundary among them: they tell which keys matter to
    which action, so that more questions share a call. They are read where none are given. Where
    they cannot all be read, and in an organization, whose service control policies apply too and
    are not read, every key is given with every question, in more calls.

    A question that AWS does not answer is unchecked, and so is one that may be decided by a key
    that AWS misses and no expectation knows. Raises DeniedError when the caller may not simulate,
    NotFoundError when there is no such principal, CredentialsError without credentials.
    """
    expectations = tuple(expectations)
    requests = [request for each in expectations for request in each.requests]
    counted = Counted(aws)
    known = _policies_of(counted, principal_arn) if policies is None else policies
    try:
        simulator = _asked(counted, principal_arn, requests, known)
    except NotFoundError as error:
        raise _nobody(error, principal_arn) from None
    except DeniedError as error:
        raise _not_permitted(error) from None
    judgements = judge(expectations, simulator.ruling)
    return Verification(
        "live", tuple(_hinted(simulator, each) for each in judgements), counted.calls
    )


def _asked(
    aws: Aws,
    principal_arn: str,
    requests: Sequence[Request],
    policies: Sequence[PolicyDocument] | None,
) -> Simulator:
    """Return the simulator that has been asked *requests* with all keys that may decide them.

    It evaluates service control policies with their conditions, but tells neither what they are
    nor which of their keys it misses: only that the account is in an organization.
    https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_testing-policies.html
    """
    mentioned = None if policies is None else keys_mentioned(policies)
    doubts = Doubts(requests, principal_arn, mentioned)
    if mentioned is not None:
        simulator = Simulator(aws, principal_arn, keys_that_matter(mentioned), doubts)
        if simulator.ask_outside_organizations(requests):
            return simulator
    simulator = Simulator(aws, principal_arn, every_key(requests), doubts)
    simulator.ask(requests)
    return simulator


def _hinted(simulator: Simulator, judgement: Judgement) -> Judgement:
    """Add which keys are missing, where that is why an expectation could not be checked."""
    keys = simulator.doubted(judgement.expectation.requests)
    if judgement.verdict != "unchecked" or not keys:
        return judgement
    named = f"the condition key{'s' if keys[1:] else ''} {', '.join(keys)}"
    return replace(judgement, hint=f"AWS misses {named}, which this expectation does not know")


def _policies_of(aws: Aws, principal_arn: str) -> tuple[PolicyDocument, ...] | None:
    """Return all policies that apply to the principal; None where not all can be read.

    GetContextKeysForPrincipalPolicy would take one call, but leaves the boundary out.
    https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetContextKeysForPrincipalPolicy.html
    """
    named = principal_of_arn(principal_arn)
    if named is None:
        return None  # a group, or nothing that can be asked about: AWS says so
    try:
        found = read_holdings(aws, *named)
    except (DeniedError, NotFoundError):
        return None
    if found.arn != principal_arn or found.unread:
        return None
    boundary = (found.boundary.document,) if found.boundary else ()
    return (*found.documents, *boundary)


def _nobody(error: NotFoundError, principal_arn: str) -> NotFoundError:
    return NotFoundError(
        error.message,
        code=error.code,
        operation=error.operation,
        remedy=f"check that `{principal_arn}` is there, in the account of these credentials:"
        " `cml-iam bootstrap apply` makes the site's principal",
    )


def _not_permitted(error: DeniedError) -> DeniedError:
    return DeniedError(
        error.message,
        code=error.code,
        operation=error.operation,
        action=error.action,
        remedy="ask as an administrator: the manager itself should not hold this permission",
    )
