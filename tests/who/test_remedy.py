"""What a remedy says ends it ends it: the account is asked again with the change made."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cml_iam.who import (
    Account,
    Asker,
    Paths,
    Question,
    account_of,
    holders,
    remedy,
    with_scps,
)
from tests.who.brute import ACCOUNT, NOW, account, allow, group, policy, role, trusting, user
from tests.who.test_generated import GENERATOR, generated

STOP = Question("ec2:StopInstances")
NIGHT = f"arn:aws:iam::{ACCOUNT}:role/night"


def open_after(of: Account, question: Question) -> dict[str, bool]:
    """Return by label, for each remedy that is proved, whether a new search finds a way."""
    asker = Asker(of, NOW)
    paths = Paths(asker)
    result = {}
    for holder in holders(question, asker, paths):
        change = remedy(holder.member, [question], asker, paths) if holder.rank < 3 else None
        if change and change.proved:
            members = (change.member if m is holder.member else m for m in of.members)
            changed = replace(of, members=tuple(members))
            found = Paths(Asker(changed, NOW)).to(question)
            result[holder.member.label] = holder.member.arn in found
    return result


@pytest.mark.skipif(not GENERATOR.exists(), reason="needs the shared generator")
def test_every_remedy_of_the_generated_account_is_proved_and_right(tmp_path: Path) -> None:
    made = generated(tmp_path, "100", "--tricky-only")
    of = with_scps(account_of(made["gaad"]), made["org"])
    question = Question(made["expected"]["action"], made["expected"]["resource"])

    ended = open_after(of, question)

    asker = Asker(of, NOW)
    held = [holder for holder in holders(question, asker, Paths(asker)) if holder.rank < 3]
    assert len(held) == len(ended) == 18
    assert not any(ended.values())


OWN: list[tuple[list[Any], str]] = [
    ([policy(allow("ec2:StopInstances"))], "remove ec2:StopInstances from statement 1 of p0"),
    ([policy(allow("ec2:*"))], "deny ec2:StopInstances on every resource to `user/a`"),
    ([policy(allow("*"))], "remove statement 1 of p0"),
    (
        [policy(allow("sts:AssumeRole", NIGHT))],
        "remove sts:AssumeRole from statement 1 of p0",
    ),
    (
        [policy(allow("ec2:StopInstances")), policy(allow("sts:AssumeRole", NIGHT))],
        "remove ec2:StopInstances from statement 1 of p0,"
        " then remove sts:AssumeRole from statement 1 of p1",
    ),
    (
        [policy(allow("ec2:StopInstances")), policy(allow("ec2:S*"))],
        "deny ec2:StopInstances on every resource to `user/a`",
    ),
]


def _account(*own: Any, **more: Any) -> Account:
    stopper = policy(allow("ec2:StopInstances"))
    return account(
        [user("a", *own, **more)],
        [role("night", stopper, trust=trusting({"AWS": ACCOUNT}))],
        [group("helpers", policy(allow("*")))],
    )


@pytest.mark.parametrize(("own", "words"), OWN)
def test_the_smallest_change_that_ends_it_is_named(own: list[Any], words: str) -> None:
    of = _account(*own)
    asker = Asker(of, NOW)

    change = remedy(of.members[0], [STOP], asker, Paths(asker))

    assert change is not None
    assert (change.words, change.proved) == (words, True)
    assert not any(open_after(of, STOP).values())


def test_who_has_it_by_a_group_and_nothing_else_leaves_the_group() -> None:
    of = _account(groups=["helpers"])
    asker = Asker(of, NOW)

    change = remedy(of.members[0], [STOP], asker, Paths(asker))

    assert change is not None
    assert change.words == "remove `user/a` from the group helpers"
    assert change.member.groups == ()


def test_a_change_that_leaves_something_undecided_is_not_proved() -> None:
    lacking = _account(policy(allow("ec2:StopInstances")), managed=["arn:aws:iam::aws:policy/X"])
    asker = Asker(lacking, NOW)

    change = remedy(lacking.members[0], [STOP], asker, Paths(asker))

    assert change is None or not change.proved
