"""One contender about every principal of an account: prints its answers as JSON.

    python contender.py cml-iam|cml-iam-steps|pmapper ACCOUNT_FOLDER

ACCOUNT_FOLDER holds `gaad.json` (the response of iam:GetAccountAuthorizationDetails), `org.json`
(service control policies by level) and `expected.json` (the question).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

Answers = dict[str, str]


def cml_iam(account: Any, org: Any, action: str, resource: str, *, steps: bool) -> Answers:
    """Answer as `policy who-can` does; what takes steps is `by steps`."""
    from datetime import UTC, datetime

    from cml_iam.who import Asker, Paths, Question, account_of, holders, with_scps

    asker = Asker(with_scps(account_of(account), org), datetime(2026, 3, 1, tzinfo=UTC))
    question = Question(action, resource)
    answers = holders(question, asker, Paths(asker) if steps else None)
    return {answer.member.arn: answer.standing for answer in answers}


def pmapper(account: Any, org: Any, action: str, resource: str) -> Answers:
    """Answer as `pmapper query` does: `yes`, `by steps` or `no`, for one request with the region.

    It has no `depends`. Its own reader gets the account from a client that answers from memory.
    """
    import collections
    import collections.abc
    import logging

    logging.disable(logging.CRITICAL)
    for name in ("Mapping", "MutableMapping"):  # it was written for Python < 3.10
        setattr(collections, name, getattr(collections.abc, name))
    from principalmapper.common import Graph, Policy
    from principalmapper.graphing import gathering, iam_edges, sts_edges
    from principalmapper.querying.query_interface import search_authorization_full

    scps = [
        [Policy(policy["Arn"], policy["Name"], policy["Content"]) for policy in level["policies"]]
        for level in org["levels"]
    ]
    gathered = gathering.get_nodes_groups_and_policies(_Client(account))
    nodes = gathered["nodes"]
    gathering.update_admin_status(nodes, scps)
    edges = sts_edges.generate_edges_locally(nodes, scps)
    edges += iam_edges.generate_edges_locally(nodes, scps)
    metadata = {"account_id": org["account"], "pmapper_version": "1.1.5"}
    graph = Graph(nodes, edges, gathered["policies"], gathered["groups"], metadata)
    context = {"aws:RequestedRegion": resource.split(":")[3]}
    answers = {}
    for node in nodes:
        result = search_authorization_full(
            graph, node, action, resource, context, service_control_policies=scps
        )
        own = result.allowed and not result.edge_list
        answers[node.arn] = "yes" if own else "by steps" if result.allowed else "no"
    return answers


class _Client:
    """What PMapper asks of IAM, answered from an account in memory."""

    def __init__(self, account: Any) -> None:
        self._account = account

    def get_paginator(self, name: str) -> _Client:
        """Return a paginator: of the account, or of MFA devices, which there are none of."""
        whole = name == "get_account_authorization_details"
        return _Client(self._account if whole else {"VirtualMFADevices": []})

    def paginate(self, **_: Any) -> list[Any]:
        """Return the one page."""
        return [self._account]

    def list_access_keys(self, **_: Any) -> Any:
        """Return one active key: every user has one."""
        return {"AccessKeyMetadata": [{"Status": "Active"}]}

    def get_login_profile(self, **_: Any) -> Any:
        """Return a password: every user has one."""
        return {"LoginProfile": {}}

    def list_mfa_devices(self, **_: Any) -> Any:
        """Return no device."""
        return {"MFADevices": []}


def main() -> None:
    """Print the answers of one contender."""
    name, folder = sys.argv[1], Path(sys.argv[2])
    read = {file: json.loads((folder / f"{file}.json").read_text()) for file in FILES}
    asked = read["gaad"], read["org"], read["expected"]["action"], read["expected"]["resource"]
    if name == "pmapper":
        print(json.dumps(pmapper(*asked)))
    else:
        print(json.dumps(cml_iam(*asked, steps=name == "cml-iam-steps")))


FILES = ("gaad", "org", "expected")

if __name__ == "__main__":
    main()
