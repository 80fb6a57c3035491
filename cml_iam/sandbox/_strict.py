"""Checks of a call by itself: AWS refuses these values from every caller, whatever the state.

Botocore's model is checked for every service; the other checks are those that moto omits.
https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_policies.html
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from cml_iam.aws import wire
from cml_iam.engine import AttachedPolicy
from cml_iam.errors import CmlIamError
from cml_iam.policy import MANAGED_POLICY_CHARACTERS, PolicyDocument, load_policy, policy_size
from cml_iam.sandbox._guard import compiled
from cml_iam.sandbox._wire import ID, Call, Fault, rows
from cml_iam.sandbox._world import Policies


def check_model(call: Call) -> None:
    """Raise Fault for parameters that the model of the operation does not permit."""
    if call.model.input_shape is None:
        return
    _check_members(call)
    for name, shape, value in _walk(call.model.input_shape, call.params, ""):
        if call.service in ("iam", "sts"):
            _check_bounds(shape, value, name)
        if shape.type_name == "structure" and isinstance(value, dict):
            _check_conflicts(call, shape, value)


def _walk(shape: Any, value: Any, name: str) -> Iterator[tuple[str, Any, Any]]:
    """Yield *value* and every value in it, each with its member's name and its shape."""
    yield name, shape, value
    match value:
        case dict() if shape.type_name == "structure":
            for key, held in value.items():
                yield from _walk(shape.members[key], held, key)
        case list():
            for element in value:
                yield from _walk(shape.member, element, name)


def _check_members(call: Call) -> None:
    """Raise Fault for a value of the wrong type, and for the first missing required member."""
    # An empty list is sent as nothing in the EC2 protocol; botocore fills in the tokens.
    optional = set(call.model.idempotent_members)
    mistyped, absent = wire.problems(call.model.input_shape, call.params)
    if mistyped:
        raise Fault("SerializationException", f"{mistyped[0]} has a value of the wrong type.")
    name = next((member for member in absent if member not in optional), None)
    if name is None:
        return
    if call.service == "ec2":
        if name == "InstanceIds":
            raise Fault("InvalidParameterCombination", "No instances specified")
        shown = {"Resources": "resourceIdSet"}.get(name, name)
        raise Fault("MissingParameter", f"The request must contain the parameter {shown}")
    if call.service == "cloudwatch" and "." not in name:
        raise Fault("MissingParameter", f"The parameter {name} is required.")
    codes: dict[str, str] = {"query": "ValidationError", "rest-xml": "MalformedXML"}
    protocol = "query" if call.service == "cloudwatch" else call.protocol
    raise Fault(
        codes.get(protocol, "ValidationException"),
        f"1 validation error detected: Value null at '{name[0].lower()}{name[1:]}' failed to "
        "satisfy constraint: Member must not be null",
    )


def _check_bounds(shape: Any, value: Any, name: str) -> None:
    """Raise Fault, in IAM's words, for a text or number outside the bounds in its model."""
    problem = _out_of_bounds(shape.metadata, value) if isinstance(value, str | int) else ""
    if not problem:
        return
    where = f"{name[0].lower()}{name[1:]}"
    text = f"The specified value for {where} is invalid. It must {problem}"
    if not problem.startswith("contain"):
        shown = "" if "sensitive" in shape.metadata else f"'{value}' "
        text = f"1 validation error detected: Value {shown}at '{where}' failed to satisfy "
        text += f"constraint: Member must {problem}"
    raise Fault("ValidationError", text)


def _out_of_bounds(bounds: Mapping[str, Any], value: str | int) -> str:
    size, unit = (value, "value") if isinstance(value, int) else (len(value), "length")
    if value not in bounds.get("enum", (value,)):
        return f"satisfy enum value set: [{', '.join(bounds['enum'])}]"
    if size < bounds.get("min", size):
        return f"have {unit} greater than or equal to {bounds['min']}"
    if size > bounds.get("max", size):
        return f"have {unit} less than or equal to {bounds['max']}"
    pattern = str(bounds.get("pattern", ".*"))
    for category, escape in (("L", "\\w"), ("Z", "\\s"), ("N", "\\d")):
        pattern = pattern.replace(f"\\p{{{category}}}", escape)
    ascii_only = re.ASCII if pattern.startswith("[\\w") and "\\s" not in pattern else 0
    if re.fullmatch(pattern, str(value), re.DOTALL | ascii_only):
        return ""
    if pattern == "[\\w+=,.@-]+":
        return "contain only alphanumeric characters and/or the following: +=,.@_-"
    return f"satisfy regular expression pattern: {bounds['pattern']}"


def _check_conflicts(call: Call, shape: Any, value: dict[str, Any]) -> None:
    for members in rows("one-of").get(call.service, ()):
        present = sorted(value.keys() & members)
        if len(present) > 1 and shape.members.keys() >= set(members):
            others = " or ".join(present[1:])
            text = f"The parameter {present[0]} cannot be used with the parameter {others}"
            text = rows("one-of")["messages"].get(call.operation, text)
            codes = {"ec2": "InvalidParameterCombination", "sns": "InvalidParameter"}
            raise Fault(codes.get(call.service, "InvalidParameterException"), text)


MOST_IDS: Final = 100
"""The maximum number of ids in one DescribeInstanceStatus call."""

# https://www.w3.org/TR/xml/#charsets
_NOT_IN_XML: Final = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def check_ec2(call: Call) -> None:
    """Raise Fault for malformed values, which EC2 refuses before anything else."""
    params = call.params
    for name, (code, prefix) in rows("ids").items():
        ids = params.get(name, ())
        for resource_id in [ids] if isinstance(ids, str) else ids:
            prefixed = resource_id.startswith(f"{prefix}-")
            if not (prefixed and ID.fullmatch(resource_id)):
                expected = "" if prefixed else f' (expecting "{prefix}-...")'
                raise Fault(code, f'Invalid id: "{resource_id}"{expected}')
    if params.get("MaxResults") and params.get("InstanceIds"):
        text = "The parameter instancesSet cannot be used with the parameter maxResults"
        raise Fault("InvalidParameterCombination", text)
    shortest, longest = rows("pages").get(call.operation, (0, 0))
    size = params.get("MaxResults")
    if longest and size is not None and not shortest <= size <= longest:
        text = f"Value ( {size} ) for parameter maxResults is invalid. Expecting a value"
        raise Fault("InvalidParameterValue", f"{text} between {shortest} and {longest}.")
    count = len(params.get("InstanceIds", ()))
    if call.operation == "DescribeInstanceStatus" and count > MOST_IDS:
        text = f"Too many instance ids: {count}. The maximum is {MOST_IDS}."
        raise Fault("InvalidParameterValue", text)
    tags = list(params.get("Tags", ()) if call.operation == "CreateTags" else ())
    for specification in params.get("TagSpecifications", ()):
        tags += specification.get("Tags", ())
    check_tag_keys(tags, "InvalidParameterValue")
    for tag in tags:
        if _NOT_IN_XML.search(tag.get("Key", "") + tag.get("Value", "")):
            text = "Tag keys and values may hold only characters that XML can represent"
            raise Fault("InvalidParameterValue", text)


def check_tag_keys(tags: Iterable[Mapping[str, str]], code: str) -> None:
    """Raise the Fault *code* if one of *tags* can only be set by AWS itself."""
    if any(tag.get("Key", "").lower().startswith("aws:") for tag in tags):
        raise Fault(code, "Tag keys starting with 'aws:' are reserved for internal use")


TRUST_CHARACTERS: Final = 2048
"""The maximum size of a trust policy under the default quota."""

_SID: Final = re.compile("[0-9A-Za-z]*")


def check_document(text: str, limit: int | None = MANAGED_POLICY_CHARACTERS) -> None:
    """Raise Fault unless the engine and IAM accept *text* as an identity-based policy.

    Identity-based policies name resources but no principals, because they apply to their holders.
    """
    for statement in _checked(text).statements:
        if statement.principal is not None or statement.not_principal is not None:
            raise _malformed("Policy document should not specify a principal.")
        if statement.resource is None and statement.not_resource is None:
            raise _malformed("Policy statement must contain resources.")
    try:
        authorizer = compiled(Policies((AttachedPolicy("policy", text),)), None)
    except CmlIamError as error:
        raise _malformed(error.message) from error
    if authorizer.problems:
        raise _malformed(str(authorizer.problems[0]))
    if limit is not None and policy_size(text) > limit:
        raise Fault("LimitExceeded", f"Cannot exceed quota for PolicySize: {limit}")


def check_trust(text: str) -> None:
    """Raise Fault unless IAM accepts *text* as a trust policy: principals, but no resources."""
    for statement in _checked(text).statements:
        if statement.principal is None and statement.not_principal is None:
            raise _malformed("Missing required field Principal")
        if statement.resource is not None or statement.not_resource is not None:
            raise _malformed("Has prohibited field Resource")
        actions = statement.action or statement.not_action or ()
        if not all(action.lower().startswith("sts:") for action in actions):
            raise _malformed("AssumeRole policy may only specify STS AssumeRole actions.")
    if policy_size(text) > TRUST_CHARACTERS:
        raise Fault("LimitExceeded", f"Cannot exceed quota for ACLSizePerRole: {TRUST_CHARACTERS}")


def _checked(text: str) -> PolicyDocument:
    try:
        document = load_policy(text, "policy")
    except CmlIamError as error:
        raise _malformed(error.message) from error
    seen: set[str] = set()
    for statement in document.statements:
        sid = statement.sid or ""
        if not _SID.fullmatch(sid):
            raise _malformed(
                "Statement IDs (SID) must be alpha-numeric. Check that your input satisfies the "
                "regular expression [0-9A-Za-z]*"
            )
        if sid and sid in seen:
            raise _malformed("Statement IDs (SID) in a single policy must be unique.")
        seen.add(sid)
    return document


def _malformed(message: str) -> Fault:
    return Fault("MalformedPolicyDocument", message)
