"""The other accounts of a sandbox: members of the organization that its first account manages.

https://docs.aws.amazon.com/organizations/latest/userguide/orgs_getting-started_concepts.html
"""

from __future__ import annotations

import copy
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from cml_iam.sandbox._faults import Unauthenticated
from cml_iam.sandbox._front import respond
from cml_iam.sandbox._signature import read_claim

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cml_iam.sandbox._wire import Answer, Message
    from cml_iam.sandbox._world import World


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
