"""One contender, in one process: prints its decisions and CPU-seconds as JSON.

    python contender.py cml-iam|pmapper|ministack WORKLOAD.json ROUNDS [--decisions]

Policies are prepared once where a contender can prepare them. What it needs for one request is
made inside the measured loop.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

LETTERS = {"allowed": "A", "explicitDeny": "E", "implicitDeny": "I"}


def cml_iam(workload: dict) -> Callable[[dict], str]:
    from cml_iam.engine import Request, compile_policies

    decide = [
        compile_policies(principal["policies"]).decide for principal in workload["principals"]
    ]
    arns = [principal["arn"] for principal in workload["principals"]]

    def run(request: dict) -> str:
        number = request["principal"]
        return decide[number](
            Request(request["action"], request["resource"], arns[number], request["context"])
        ).outcome

    return run


def pmapper(workload: dict) -> Callable[[dict], str]:
    import collections
    import collections.abc
    import logging

    logging.disable(logging.CRITICAL)
    for name in ("Mapping", "MutableMapping"):  # it was written for Python < 3.10
        setattr(collections, name, getattr(collections.abc, name))
    from principalmapper.common import Node, Policy
    from principalmapper.querying.query_interface import local_check_authorization

    nodes = [
        Node(
            principal["arn"],
            "AROAEXAMPLE",
            [Policy(f"{principal['arn']}/p", "p", document) for document in principal["policies"]],
            None,
            {"Version": "2012-10-17", "Statement": []},
            None,
            0,
            False,
            False,
            None,
            False,
            {},
        )
        for principal in workload["principals"]
    ]

    def run(request: dict) -> str:
        allowed = local_check_authorization(
            nodes[request["principal"]], request["action"], request["resource"], request["context"]
        )
        return "allowed" if allowed else "implicitDeny"  # it does not tell the two denials apart

    return run


def ministack(workload: dict) -> Callable[[dict], str]:
    from ministack.core import iam_evaluator

    parsed = [
        [iam_evaluator.parse_policy_document(document) for document in principal["policies"]]
        for principal in workload["principals"]
    ]
    arns = [principal["arn"] for principal in workload["principals"]]
    names = {"Allow": "allowed", "Deny": "explicitDeny", "ImplicitDeny": "implicitDeny"}

    def run(request: dict) -> str:
        context, number = request["context"], request["principal"]
        asked = iam_evaluator.EvalContext(
            principal_arn=arns[number],
            principal_type="AssumedRole",
            principal_account=workload["account"],
            action=request["action"],
            resource_arn=request["resource"],
            region=context["aws:RequestedRegion"],
            source_ip=context["aws:SourceIp"],
            secure_transport=context["aws:SecureTransport"] == "true",
            tag_keys=context.get("aws:TagKeys", []),
            service_context={key.lower(): value for key, value in context.items()},
        )
        return names[iam_evaluator.evaluate(asked, parsed[number]).decision]

    return run


CONTENDERS = {"cml-iam": cml_iam, "pmapper": pmapper, "ministack": ministack}


def main() -> None:
    name, path, rounds, *flags = sys.argv[1:]
    workload = json.loads(Path(path).read_text())
    run, requests = CONTENDERS[name](workload), workload["requests"]
    if flags == ["--decisions"]:
        print("".join(LETTERS[run(request)] for request in requests))
        return
    if workload["rounds"] > 1:  # warm up; not where no request may be seen twice
        for request in requests:
            run(request)
    start = time.process_time()
    for _ in range(int(rounds)):
        for request in requests:
            run(request)
    seconds = time.process_time() - start
    print(json.dumps({"decisions": len(requests) * int(rounds), "cpu_seconds": seconds}))


if __name__ == "__main__":
    main()
