"""The front: find the account, authenticate, read, settle, authorize, and only then execute.

Other accounts are members of the organization that the first one manages.
https://docs.aws.amazon.com/organizations/latest/userguide/orgs_getting-started_concepts.html
"""

from __future__ import annotations

import copy
import re
import uuid
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from cml_iam.errors import CmlIamError
from cml_iam.sandbox._answers import as_cbor, fault_answer
from cml_iam.sandbox._call import protocol_of, read_call
from cml_iam.sandbox._federation import answer_unsigned, read_unsigned
from cml_iam.sandbox._guard import authorize
from cml_iam.sandbox._iam_reads import note_use
from cml_iam.sandbox._moto import model_fault, model_faults
from cml_iam.sandbox._own import OWN
from cml_iam.sandbox._principals import authenticate
from cml_iam.sandbox._services import backends_of, prefix_of
from cml_iam.sandbox._signature import read_claim
from cml_iam.sandbox._strict import complete, perform
from cml_iam.sandbox._transitions import arrive
from cml_iam.sandbox._wire import NOT_DONE, Fault, Unauthenticated, unauthenticated

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cml_iam.sandbox._call import Call
    from cml_iam.sandbox._principals import Principal
    from cml_iam.sandbox._services import Protocol
    from cml_iam.sandbox._wire import Answer, Message
    from cml_iam.sandbox._world import World


_REQUEST_ID: Final = re.compile(rb"(<[rR]equest(?:Id|ID)>)[^<]*(?=</)")


def respond(world: World, message: Message) -> Answer:
    """Answer *message* as AWS would, under an id of its own."""
    answer = _answered(world, message)
    given = str(uuid.uuid4())
    body = _REQUEST_ID.sub(rb"\g<1>" + given.encode(), answer.body, count=1)
    return replace(answer, body=body, headers={**answer.headers, "x-amzn-RequestId": given})


def _answered(world: World, message: Message) -> Answer:
    service, protocol = _spoken(message)
    try:
        with world.lock:
            return _respond(world, message)
    except Unauthenticated as error:
        fault = unauthenticated(error, service)
    except Fault as error:
        fault = error
    except CmlIamError as error:
        # A policy the engine cannot judge is refused loudly, never let through.
        fault = Fault("InternalFailure", f"The sandbox cannot judge this: {error}", NOT_DONE)
    except model_faults() as error:
        fault = model_fault(error)
    except Exception as error:  # noqa: BLE001 - a thread of the server has nobody to tell
        fault = Fault(
            "InternalFailure", f"The sandbox failed: {type(error).__name__}: {error}", NOT_DONE
        )
    return fault_answer(fault, protocol, service)


def _spoken(message: Message) -> tuple[str, Protocol]:
    """Return the service a request is meant for and its protocol, for the form of an error."""
    try:
        scope = read_claim(message).service
    except Unauthenticated:
        scope = "sts"
    return prefix_of(scope), protocol_of(message, scope)


def _respond(world: World, message: Message) -> Answer:
    try:
        claim = read_claim(message)
    except Unauthenticated:
        unsigned = read_unsigned(world, message)
        if unsigned is None:
            raise
        return _answer(world, unsigned, lambda: answer_unsigned(world, unsigned))
    principal = authenticate(world, message, claim)
    if not backends_of(claim.service):
        said = f"The sandbox has no service {claim.service}."
        raise Fault("UnknownOperationException", said, 404)
    if claim.region not in world.regions:
        raise Unauthenticated("region")
    read = read_call(message, claim.service, claim.region)
    return _answer(world, read, lambda: _done(world, principal, read))


def _answer(world: World, read: Call, do: Callable[[], Answer]) -> Answer:
    """Answer what was *read* by *do*, or with what befalls it first."""
    arrive(world)
    if world.throttle is not None:
        world.throttle.take(read, world.now())
    return world.suffering.answer(
        read.action,
        do,
        lambda fault: fault_answer(fault, read.protocol, read.service),
    )


def _done(world: World, principal: Principal, read: Call) -> Answer:
    """Complete what was *read*, authorize it, and do it."""
    call = complete(world, principal, read)
    note_use(world, principal, call)
    authorize(world, principal, call)
    if call.service == "ec2" and call.params.get("DryRun"):
        said = "Request would have succeeded, but DryRun flag is set."
        raise Fault("DryRunOperation", said, 412)
    return perform(world, principal, call, lambda asked: _execute(world, principal, asked))


def _execute(world: World, principal: Principal, call: Call) -> Answer:
    """Do *call*: by ourselves where we have the operation, else by moto."""
    own = OWN.get(call.action)
    answer = own(world, principal, call) if own else None
    if answer is not None:
        return answer
    if call.service in ("iam", "sts"):
        call = replace(call, region=world.region)
    answer = world.moto.execute(call, principal.access_key_id)
    return as_cbor(call, answer) if call.protocol == "cbor" else answer


class Accounts:
    """Every account of the sandbox, each a world of its own; a member's is made when it is needed.

    All share the lock of the first, since moto's own state is shared.
    """

    def __init__(self, first: World, members: Sequence[str], make: Callable[[str], World]) -> None:
        self.first = first
        self.worlds = {first.account: first}
        self._members = frozenset(members)
        self._make = make
        self._holders: dict[str, World] = {}
        first.peer = self.of

    def of(self, account: str) -> World | None:
        """Return the world of *account*, None where the sandbox does not have it."""
        if account not in self._members or account in self.worlds:
            return self.worlds.get(account)
        with self.first.lock:
            made = self._make(account)
            made.lock, made.peer = self.first.lock, self.of
            self.worlds[account] = made
        return made

    def holding(self, message: Message) -> World:
        """Return the world of the key that signed *message*; the first where nobody holds it."""
        try:
            key = read_claim(message).access_key_id
        except Unauthenticated:
            return self.first
        known = self._holders.get(key)
        if known is None:
            worlds = list(self.worlds.values())
            known = next((each for each in worlds if _holds(each, key)), self.first)
            if known is not self.first:
                self._holders[key] = known
        return known

    def respond(self, message: Message) -> Answer:
        """Answer *message* as AWS would, in the account of whoever sent it."""
        return respond(self.holding(message), message)


def _holds(world: World, key: str) -> bool:
    return (
        key == world.root.id
        or key in world.sessions
        or any(
            key == each.access_key_id
            for user in list(world.iam.users.values())
            for each in user.access_keys
        )
    )


def share_managed_policies(first: World, member: World) -> None:
    """Give *member* AWS's managed policies, which moto would read anew for each account."""
    known = first.iam.managed_policies
    member.iam.managed_policies.update(
        {arn: each for arn, each in known.items() if ":iam::aws:" in arn}
    )


def organize(first: World, members: Sequence[str]) -> None:
    """Make the organization: the first account manages it, *members* are in it."""
    backend: Any = first.moto.backend("organizations", first.partition)
    backend.create_organization(first.region, FeatureSet="ALL")
    (master,) = backend.accounts
    master.name = "management"
    for number, account in enumerate(members, start=1):
        # A member as moto makes it would have a random id, and IAM of its own at once.
        member = copy.copy(master)
        member.id, member.name = account, f"member-{number}"
        member.email, member.joined_method = f"{member.name}@example.com", "CREATED"
        # moto turns pages at this time, so that no two accounts may have the same.
        member.create_time = master.create_time - timedelta(seconds=number)
        backend.accounts.append(member)
