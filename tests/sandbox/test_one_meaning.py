"""Whatever the members of a request are, moto is called with what was judged, or not at all."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlencode

import pytest
from hypothesis import HealthCheck, Phase, given, reject, settings
from hypothesis import strategies as st
from moto.core.parse import PROTOCOL_PARSERS
from moto.core.request import Request
from moto.core.routing import get_service_router

from cml_iam.aws import wire
from cml_iam.sandbox import Sandbox, _front
from cml_iam.sandbox._wire import Call, models_of, operation_model
from tests.sandbox.conftest import Identity, send
from tests.sandbox.documents import EVERYTHING

# The model, its name in a signature, and the protocol that is spoken.
SPOKEN = [
    ("ec2", "ec2", "ec2"),
    ("iam", "iam", "query"),
    ("sns", "sns", "query"),
    ("sts", "sts", "query"),
    ("cloudwatch", "monitoring", "query"),
    ("cloudwatch", "monitoring", "json"),
    ("cloudwatch", "monitoring", "smithy-rpc-v2-cbor"),
    ("cloudtrail", "cloudtrail", "json"),
    ("events", "events", "json"),
    ("logs", "logs", "json"),
    ("secretsmanager", "secretsmanager", "json"),
    ("sqs", "sqs", "json"),
    ("ssm", "ssm", "json"),
    ("lambda", "lambda", "rest-json"),
    ("route53", "route53", "rest-xml"),
    ("s3", "s3", "rest-xml"),
]
# What the sandbox settles after a call was judged: pages, versions and templates.
OURS = {
    "ec2": {"Filters", "LaunchTemplate", "MaxResults", "MinCount", "NextToken"},
    "iam": {"Marker", "MaxItems"},
    "secretsmanager": {"VersionStage"},
}


@dataclass
class Seen:
    """What was judged, and what moto was asked."""

    judged: list[Call] = field(default_factory=list)
    asked: list[dict[str, Any]] = field(default_factory=list)


@pytest.fixture(scope="module")
def watched(sandbox: Sandbox, root: Identity) -> Iterator[tuple[Seen, Identity]]:
    """A sandbox whose moto writes down what it is asked, and a user who may do everything."""
    iam = root.client("iam")
    iam.create_user(UserName="everything")
    iam.put_user_policy(UserName="everything", PolicyName="p", PolicyDocument=EVERYTHING)
    key = iam.create_access_key(UserName="everything")["AccessKey"]
    seen = Seen()
    authorize = _front.authorize

    def judge(world: Any, principal: Any, call: Call) -> None:
        seen.judged.append(call)
        authorize(world, principal, call)

    class Recorder:
        backend_url_patterns = sandbox._world.moto._application.backend_url_patterns

        def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> list[bytes]:
            seen.asked.append(dict(environ, body=environ["wsgi.input"].read()))
            start("404 Not Found", [("Content-Type", "text/plain")])
            return [b"{}"]

    patch = pytest.MonkeyPatch()
    patch.setattr(_front, "authorize", judge)
    patch.setattr(sandbox._world.moto, "_application", Recorder())
    yield seen, Identity(sandbox, key["AccessKeyId"], key["SecretAccessKey"])
    patch.undo()


TEXT = st.text("aZ0-_./&=%+ :*\"'<é", min_size=1, max_size=12)
TRICKS = st.sampled_from(["&Action=DeleteUser&UserName=x&", "a&Name=b", '{"Name": "b"}', "x-id=1"])
WRONG: st.SearchStrategy[Any] = st.sampled_from([None, 1, True, "x", ["x"], {"x": 1}, 1.5])


def values(shape: Any, depth: int = 0) -> st.SearchStrategy[Any]:
    """Return values of *shape*."""
    kind = shape.type_name
    if kind == "structure":
        members = {
            name: values(member, depth + 1)
            for name, member in shape.members.items()
            if depth < 3 or name in shape.required_members
        }
        must = {name: members.pop(name) for name in shape.required_members if name in members}
        few = dict(sorted(members.items())[:12])
        return st.fixed_dictionaries(must, optional=few)
    if kind == "list":
        return st.lists(values(shape.member, depth + 1), max_size=2)
    if kind == "map":
        return st.dictionaries(
            values(shape.key, depth + 1), values(shape.value, depth + 1), max_size=2
        )
    if kind in ("integer", "long"):
        return st.integers(0, 2**31 - 1)
    if kind in ("float", "double"):
        return st.integers(0, 1000).map(float)
    if kind == "boolean":
        return st.booleans()
    if kind == "timestamp":
        return st.integers(0, 2_000_000_000)
    if kind == "blob":
        return st.binary(max_size=8)
    enum = getattr(shape, "enum", None)
    return st.sampled_from(enum) if enum else TEXT | TRICKS


def as_moto_reads(call: Call, environ: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return the operation and the parameters moto reads from *environ*."""
    protocol = "json" if call.protocol == "cbor" else call.protocol
    request: Any = Request(environ)
    labels: dict[str, Any] = {}
    body = environ["body"]
    if protocol in ("ec2", "query"):
        fields = dict(parse_qsl(body.decode(), keep_blank_values=True))
        operation = fields["Action"]
        given_values: Any = fields
    elif protocol == "json":
        operation, given_values = environ["HTTP_X_AMZ_TARGET"].rpartition(".")[2], {}
    else:
        service = call.model.service_model.service_name
        model, labels = get_service_router(service).match(request)
        operation, given_values = model.name, request.args
    reader: Any = PROTOCOL_PARSERS[protocol](call.model, timestamp_parser=wire.read_time)
    read = reader.parse(
        {
            "method": request.method,
            "values": given_values,
            "headers": request.headers,
            "body": body,
            "url_path": request.path,
            "url_params": labels,
        }
    )
    return operation, {k: v for k, v in (read or {}).items() if v is not None}


def without_empty(value: Any) -> Any:
    """Return *value* without empty members: protocols write them as nothing."""
    if isinstance(value, dict):
        slim = {key: without_empty(held) for key, held in value.items()}
        return {key: held for key, held in slim.items() if held not in ({}, [], None, "", b"")}
    if isinstance(value, list):
        return [without_empty(held) for held in value]
    return value


@pytest.mark.parametrize("spoken", SPOKEN, ids=lambda spoken: "-".join(spoken[1:]))
@given(data=st.data())
@settings(
    max_examples=4,
    database=None,
    phases=[Phase.generate],
    deadline=None,
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
        HealthCheck.filter_too_much,
    ],
)
def test_moto_is_called_with_what_was_judged(
    spoken: tuple[str, str, str], data: st.DataObject, watched: tuple[Seen, Identity]
) -> None:
    seen, someone = watched
    name, scope, protocol = spoken
    model = next(each for each in models_of(scope) if each.service_name == name)
    operation = model.operation_model(data.draw(st.sampled_from(model.operation_names)))
    shape = operation.input_shape
    params = data.draw(values(shape)) if shape is not None else {}
    try:
        written = wire.write_request(operation, protocol, params)
    except ValueError:
        reject()
    body, url = written["body"], written["url_path"]
    if isinstance(body, dict):
        decoys = data.draw(st.dictionaries(TEXT, TEXT, max_size=1))
        body = urlencode({**body, **decoys})
    elif protocol == "json":
        decoys = data.draw(st.dictionaries(st.sampled_from(NAMES), WRONG, max_size=1))
        body = json.dumps({**json.loads(body), **decoys})
    query = urlencode(written["query_string"], doseq=True)
    if query:
        url += ("&" if "?" in url else "?") + query
    seen.judged.clear()
    seen.asked.clear()
    headers = {key: str(value) for key, value in written["headers"].items()}
    status, answer = send(
        someone, scope, body, target=url, method=written["method"], headers=headers
    )

    assert status < 500, answer
    assert len(seen.asked) <= len(seen.judged)
    for judged, environ in zip(seen.judged, seen.asked, strict=False):
        done, read = as_moto_reads(judged, environ)
        assert done == judged.operation
        expected = without_empty(judged.params)
        got = without_empty(read)
        for ours in OURS.get(judged.service, ()):
            expected.pop(ours, None)
            got.pop(ours, None)
        assert got == expected


NAMES = ["Name", "Names", "TopicArn", "resourceArn", "logGroupName", "Rule", "SecretId", "QueueUrl"]


def test_operations_are_found_by_their_model() -> None:
    assert operation_model("ec2", "RunInstances").name == "RunInstances"
    assert operation_model("ec2", "Nonesuch") is None
