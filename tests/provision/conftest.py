"""The worlds that the contract tests run in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.provision.worlds import World, fake_world, moto_world


@pytest.fixture(params=["memory", "moto"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    """Return an empty account: ours in memory, then moto's behind the real connection."""
    if request.param == "memory":
        yield fake_world(tmp_path)
        return
    from moto import mock_aws

    with mock_aws():
        yield moto_world(tmp_path)
