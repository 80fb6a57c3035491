"""Sandboxes that cost a test little: AWS's policies are read once, a prepared world is put back."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import cache
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cml_iam.sandbox import Sandbox


class Snapshot:
    """What a running *sandbox* holds at one moment: moto's models, and its own state beside them.

    What a test does is undone by `restore`, which takes milliseconds; the account's root keeps its
    key. AWS's own policies are not copied one by one, since only how often they are attached
    changes.
    """

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self._world = sandbox._world
        self._backends = _backends()
        iams = [backend for backend in self._backends if hasattr(backend, "aws_managed_policies")]
        policies = [policy for iam in iams for policy in iam.aws_managed_policies]
        self._policies = [(policy, dict(vars(policy))) for policy in policies]
        kept = (*self._backends, *policies, *self._own_parts())
        # A copy of what stays the same object is that object.
        self._same = {id(each): each for each in kept}
        self._held = self._copy([vars(backend) for backend in (*self._backends, self._world)])

    def restore(self) -> None:
        """Put the sandbox back to where it was when this was taken."""
        with self._world.lock:
            for backend in _backends():
                if backend not in self._backends:
                    backend.reset()
            states = self._copy(self._held)
            for owner, state in zip((*self._backends, self._world), states, strict=True):
                vars(owner).clear()
                vars(owner).update(state)
            for policy, state in self._policies:
                vars(policy).update(state)

    def _own_parts(self) -> tuple[Any, ...]:
        world = self._world
        calls = (call for call, _ in world.launches.values())
        return (world, world.moto, world.lock, world.now, world.conditions, world.root, *calls)

    def _copy(self, state: Any) -> Any:
        return copy.deepcopy(state, dict(self._same))


def _backends() -> list[Any]:
    """Return every model that moto has made so far, of whatever service, account and region."""
    from moto.core.base_backend import BackendDict

    return [
        backend
        for services in BackendDict._instances
        for account in services.values()
        for backend in account.values()
    ]


@cache
def read_aws_policies_once() -> None:
    """Let every sandbox of this process share what moto reads for each: a thousand policies."""
    from moto.iam.models import IAMBackend
    from moto.settings import load_iam_aws_managed_policies

    read: Callable[[Any], list[Any]] = IAMBackend._init_aws_policies

    @cache
    def known(account: str, partition: str) -> list[Any]:
        return read(SimpleNamespace(account_id=account, region_name=partition))

    def policies(backend: Any) -> list[Any]:
        if not load_iam_aws_managed_policies():
            return []
        shared = known(backend.account_id, backend.region_name)
        own = [copy.copy(policy) for policy in shared]
        for policy in own:
            policy.versions = list(policy.versions)
        return own

    replaced: Any = IAMBackend
    replaced._init_aws_policies = policies
