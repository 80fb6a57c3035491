"""The shared conformance data; what differs is listed with AWS's page in disagreements.json."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from cml_iam.engine import Request, compile_policies, context_keys
from cml_iam.engine._request import Caller, Keys, Naming, naming
from cml_iam.engine._resource import not_resource_test, resource_pattern, resource_test
from cml_iam.engine._text import Wildcard, patterns, resolved, tokens, variable_keys
from cml_iam.errors import DocumentError
from cml_iam.policy import load_policy, pattern_covers, patterns_overlap
from tests.conftest import SHARED

FOLDER = SHARED / "conformance"
if not FOLDER.is_dir():
    pytest.skip("the shared conformance data is not here", allow_module_level=True)

DISAGREEMENTS = {
    load["id"]: load
    for load in json.loads(Path(__file__).with_name("disagreements.json").read_text())
}
OUTCOMES = {
    "Allowed": "allowed",
    "ExplicitlyDenied": "explicitDeny",
    "ImplicitlyDenied": "implicitDeny",
}
KINDS = {"pb": "boundary", "vpce": "endpoint"}


def cases(name):
    lines = (FOLDER / f"{name}.jsonl").read_text().splitlines()
    return [pytest.param(case, id=case["id"]) for case in map(json.loads, lines)]


def agrees(case, found, expected):
    """The answers are equal, or the case is one of those that AWS's documentation contradicts."""
    if case["id"] in DISAGREEMENTS:
        assert found != expected, "this case agrees: take it off the list"
    else:
        assert found == expected


def decide(case, policies):
    asked = case["request"]
    authorizer = compile_policies(
        policies["identity"],
        boundary=policies["boundary"],
        session=policies["session"],
        resource=policies["resource"],
        scps=[level["policies"] for level in policies["scp"]],
        rcps=[level["policies"] for level in policies["rcp"]],
        endpoint=policies["endpoint"],
    )
    resource = asked["resource"]
    request = Request(
        asked["action"],
        resource["arn"],
        asked["principal"],
        asked["context"],
        resource["accountId"],
    )
    return authorizer.decide(request).outcome


def in_grammar(policies):
    """Write a bare ARN as the map that IAM wants, and leave out a list without statements."""
    mended = json.loads(json.dumps(policies))
    resource = mended["resource"]
    if not resource["Statement"]:
        resource["Statement"] = [
            {"Effect": "Allow", "Action": "x:y", "Resource": "*", "Principal": "*"}
        ]
    for statement in resource["Statement"]:
        if statement["Principal"] != "*":
            statement["Principal"] = {"AWS": statement["Principal"]}
    return mended


@pytest.mark.parametrize("case", cases("decisions"))
def test_decision(case):
    policies = case["policies"]
    if case["id"].startswith("unit-cond/"):  # a condition's case, as a decision
        outcome = decide(case, policies)
        agrees(case, outcome, OUTCOMES[case["expected"]["decision"]])
        return
    if case["id"] in DISAGREEMENTS:
        with pytest.raises(DocumentError):
            decide(case, policies)
        policies = in_grammar(policies)

    assert decide(case, policies) == OUTCOMES[case["expected"]["decision"]]


@pytest.mark.parametrize("case", cases("conditions"))
def test_condition(case):
    block = case.get("condition_block")
    block = block or {case["operator"]: {case["condition_key"]: case["policy_values"]}}
    context = dict(case["request_context"])
    if case.get("context_values") is not None and "context_value_is_array" not in case:
        context[case["condition_key"]] = case["context_values"][0]
    authorizer = compile_policies(
        [
            {
                "Version": "2012-10-17",
                "Statement": {
                    "Effect": "Allow",
                    "Action": "*",
                    "Resource": "*",
                    "Condition": block,
                },
            }
        ]
    )

    allowed = authorizer.decide(Request("s3:GetObject", context=context)).allowed
    if case["expected_match"] is None:  # the tool raises an error; we report and do not match
        assert not allowed
        assert authorizer.problems
    else:
        agrees(case, allowed, case["expected_match"])


def _action(case):
    element = {case["kind"]: case["patterns"], "Effect": "Allow", "Resource": "*"}
    authorizer = compile_policies([{"Statement": element}])
    return authorizer.decide(Request(case["value"])).allowed, case["expected_match"]


def _resource(case):
    kind, keys = KINDS.get(case["policy_type"], case["policy_type"]), Keys()
    found = tuple(
        resource_pattern(text, kind, variables=True, keys=keys) for text in case["patterns"]
    )
    test = not_resource_test(found) if case["kind"] == "NotResource" else resource_test(found)
    matched = test is None or test(case["value"], case["request_context"])
    return matched, case["expected_match"]


def _principal(case):
    document = load_policy(
        {"Statement": {"Effect": case["effect"] or "Allow", "Action": "*", **case["element"]}}
    )
    anonymous = isinstance(case["value"], dict)
    caller = Caller.parse(None if anonymous else case["value"])
    found = naming(document.statements[0], caller, bounded=False)
    in_session = caller.arn is not None and caller.arn.service == "sts"
    words = {
        Naming.NOT: "NoMatch",
        Naming.ACCOUNT: "AccountLevelMatch",
        Naming.IDENTITY: "SessionRoleMatch" if in_session else "Match",
        Naming.DIRECTLY: "Match",
    }
    return words[found], case["expected_match"]


def _iam_string(case):
    options = case["options"] or {}
    parts = tokens(
        case["pattern"],
        variables=True,
        wildcards=options.get("replaceWildcards", True),
        keys=Keys(),
    )
    literal = resolved(parts, case["request_context"])
    if "string" in case["expected"]:
        text = literal and "".join(p.value if isinstance(p, Wildcard) else p for p in literal)
        return text, case["expected"]["string"]
    expected = re.compile(case["expected"]["regex"])
    if literal is None:
        return "a^", case["expected"]["regex"]
    names = patterns((literal,)).matches
    probes = [case["pattern"], *(re.sub(r"\$?\{?[*?$]\}?", c, case["pattern"]) for c in "*?$x")]
    probes += [p.replace("x", "long/er") for p in probes] + ["arn:aws:s3:::", "arn:aws:s3:::Bob"]
    return [names(p) for p in probes], [expected.match(p) is not None for p in probes]


def _arns_overlap(case):
    one, other = (
        ":".join([*arn.split(":"), *["*"] * (6 - len(arn.split(":")))]) for arn in case["values"]
    )
    fields = zip(one.split(":", 5), other.split(":", 5), strict=True)
    return all(patterns_overlap(a, b) for a, b in fields), case["expected_match"]


def _pattern_overlap(case):
    covers = pattern_covers(case["policy"], case["request"])
    return "policy_is_superset" if covers else "none", case["expected"]


def _variables(case):
    return variable_keys(case["value"]), case["expected"]


def _context_keys(case):
    expected = case["expected"]["validKeys"] + case["expected"]["invalidKeys"]
    found = context_keys(case["policies"])
    return {key.lower() for key in found}, {key.lower() for key in expected}


def _federated_user(case):
    statement = {"Effect": "Allow", "Action": "*", "Principal": {"AWS": case["expected"]}}
    document = load_policy({"Statement": statement})
    caller = Caller.parse(case["value"])
    return naming(document.statements[0], caller, bounded=False), Naming.IDENTITY


MATCHERS = {
    "Action": _action,
    "NotAction": _action,
    "Resource": _resource,
    "NotResource": _resource,
    "Principal": _principal,
    "iam_string": _iam_string,
    "arn_patterns_overlap": _arns_overlap,
    "pattern_overlap": _pattern_overlap,
    "getVariablesFromString": _variables,
    "context_keys": _context_keys,
    "userArnFromFederatedUserArn": _federated_user,
}
WITHOUT_COUNTERPART = {"isS3BucketOrObjectArn"}
"""The tool treats S3's ARNs apart; we need not, because any resource type may have a wildcard."""


@pytest.mark.parametrize("case", cases("matchers"))
def test_matcher(case):
    if case["kind"] in WITHOUT_COUNTERPART:
        pytest.skip("has no counterpart")
    agrees(case, *MATCHERS[case["kind"]](case))


def test_every_disagreement_names_an_existing_case_and_a_page_of_aws():
    names = ("decisions", "conditions", "matchers")
    known = {param.values[0]["id"] for name in names for param in cases(name)}

    assert set(DISAGREEMENTS) <= known
    assert all(
        disagreement["page"].startswith("https://docs.aws.amazon.com/")
        for disagreement in DISAGREEMENTS.values()
    )
