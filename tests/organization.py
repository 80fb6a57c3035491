"""Sandboxes of several accounts, in an organization that the first one manages.

The sandbox itself has one account. Moto keeps the state of every account in one process, so that a
world for each and a front that finds the caller's are all that more accounts need.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from unittest.mock import patch

from cml_iam.sandbox import AccessKey, Sandbox, start_sandbox
from cml_iam.sandbox._front import respond
from cml_iam.sandbox._moto import Moto
from cml_iam.sandbox._principals import read_claim
from cml_iam.sandbox._wire import Answer, Message, Unauthenticated
from cml_iam.sandbox._world import World


@dataclass
class Organization:
    """A *sandbox*, and the world of every account of it; a member's is made when it is needed."""

    sandbox: Sandbox
    members: frozenset[str]
    worlds: dict[str, World]
    holders: dict[str, World] = field(default_factory=dict)

    @property
    def first(self) -> World:
        """The world of the account that manages the organization."""
        return self.worlds[self.sandbox.account]

    def root_of(self, account: str) -> AccessKey:
        """Return the access key of the root of *account*."""
        return self.world_of(account).root

    def world_of(self, account: str) -> World:
        """Return the world of *account*."""
        with self.first.lock:
            if account not in self.worlds:
                self.worlds[account] = self._member(account)
            return self.worlds[account]

    def home_of(self, arn: str) -> World:
        """Return the world of the account in *arn*; the first where there is no such account."""
        account = f"{arn}:::::".split(":")[4]
        return self.world_of(account) if account in self.members else self.first

    def respond(self, message: Message) -> Answer:
        """Answer *message* in the account of whoever signed it; in the first for a stranger."""
        try:
            key = read_claim(message).access_key_id
        except Unauthenticated:
            return respond(self.first, message)
        if key not in self.holders:
            holding = [world for world in list(self.worlds.values()) if _holds(world, key)]
            if not holding:
                return respond(self.first, message)
            self.holders[key] = holding[0]
        return respond(self.holders[key], message)

    def _member(self, account: str) -> World:
        world = World(_of_account(self.first.moto, account), account, self.sandbox.region)
        # Moto would read AWS's policies anew for each account, for seconds and megabytes.
        known = self.first.iam.managed_policies
        world.iam.managed_policies.update(
            {arn: policy for arn, policy in known.items() if ":iam::aws:" in arn}
        )
        world.lock = self.first.lock
        vars(world)["home_of"] = self.home_of
        return world


def start_organization(members: Sequence[str]) -> Organization:
    """Start a sandbox whose account manages an organization of *members* too."""
    sandbox = start_sandbox()
    world = sandbox._world
    organization = Organization(sandbox, frozenset(members), {sandbox.account: world})
    vars(world)["home_of"] = organization.home_of
    vars(sandbox._server)["respond"] = organization.respond
    _organize(world, members)
    return organization


def _of_account(moto: Moto, account: str) -> Moto:
    """Return the services of *moto* as *account* sees them, with an IAM without AWS's policies."""
    other = copy.copy(moto)
    other.account = account
    with patch.dict(os.environ, MOTO_IAM_LOAD_MANAGED_POLICIES="false"):
        other.backend("iam", "aws")  # made when it is first asked for
    return other


def _holds(world: World, key: str) -> bool:
    users = list(world.iam.users.values())
    keys = {each.access_key_id for user in users for each in user.access_keys}
    return key == world.root.id or key in world.sessions or key in keys


def _organize(first: World, members: Sequence[str]) -> None:
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
