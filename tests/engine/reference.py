"""A second evaluator: slow, obvious, and sharing no code with the engine it is compared with.

Policies are parsed JSON. Everything is worked out again for every question, by the most direct
reading of the rules: wildcards by recursion over characters, addresses by `ipaddress`, numbers by
`fractions`, dates by `datetime`. It exists to disagree.
"""

from __future__ import annotations

import ipaddress
import re
from datetime import UTC, datetime, timedelta
from fractions import Fraction

STAR, ONE = object(), object()
ANY_CONTEXT = object()
"""A context in which every key has a value: to take a text apart without a request."""


class UnresolvableError(Exception):
    """A variable has no value, or is malformed: the whole text matches nothing."""


class MalformedError(Exception):
    """A `${` begins no variable."""


# --- texts -------------------------------------------------------------------------------------


def glob(pattern, text):
    """Pattern: a list of single characters, STAR and ONE. One row of truth per pattern element."""
    row = [True] + [False] * len(text)
    for part in pattern:
        if part is STAR:
            new, seen = [], False
            for here in row:
                seen = seen or here
                new.append(seen)
        else:
            new = [False] + [
                row[i] and (part is ONE or part == char) for i, char in enumerate(text)
            ]
        row = new
    return row[-1]


def read(text, context, *, variables, wildcards):
    """Turn a policy's text into characters, STAR and ONE, with values put for variables."""
    out, i = [], 0
    while i < len(text):
        if variables and text.startswith("${", i):
            value, i = variable(text, i + 2, context)
            out += list(value)
        elif wildcards and text[i] in "*?":
            out.append(STAR if text[i] == "*" else ONE)
            i += 1
        else:
            out.append(text[i])
            i += 1
    return out


def variable(text, i, context):
    start = i
    while i < len(text) and text[i] not in ",{}":
        i += 1
    name = text[start:i].strip()
    if not name or i == len(text) or text[i] == "{":
        raise UnresolvableError
    if text[start].isspace() or (text[i] == "}" and text[i - 1].isspace()):
        raise UnresolvableError
    default = None
    if text[i] == ",":
        default, i = quoted(text, i + 1)
    if i >= len(text) or text[i] != "}":
        raise UnresolvableError
    if name in ("*", "?", "$"):
        return name, i + 1
    value = lookup(context, name)
    if isinstance(value, str):
        return value, i + 1
    if default is None:
        raise UnresolvableError
    return default, i + 1


def quoted(text, i):
    while i < len(text) and text[i].isspace():
        i += 1
    quote = text[i : i + 1]
    end = text.find(quote, i + 1) if quote in ("'", '"') else -1
    if not quote or end < 0:
        raise UnresolvableError
    value, i = text[i + 1 : end], end + 1
    while i < len(text) and text[i].isspace():
        i += 1
    return value, i


def lookup(context, key):
    if context is ANY_CONTEXT:
        return "x"
    found = None
    for name, value in context.items():
        if name.lower() == key.lower():
            found = value
    return found


def split(pattern, colons):
    """Split at the first *colons* colons; only literal ones of the policy's own text are given."""
    fields = [[]]
    for part in pattern:
        if part == ":" and len(fields) <= colons:
            fields.append([])
        else:
            fields[-1].append(part)
    return fields


# --- elements ----------------------------------------------------------------------------------


def action_matches(pattern, action):
    if pattern in ("*", "*:*"):
        return True
    if ":" not in pattern or any(char.isspace() for char in pattern):
        return False
    service, name = pattern.lower().split(":", 1)
    wanted = action.lower().split(":", 1)
    if not name or len(wanted) != 2 or "*" in service or "?" in service:
        return False
    return service == wanted[0] and glob(read(name, {}, variables=False, wildcards=True), wanted[1])


def colons_outside_variables(text, variables):
    """Return the text's fields, split at the first five colons that are not inside `${…}`."""
    fields, current, i = [], "", 0
    while i < len(text):
        if variables and text.startswith("${", i):
            end = end_of_variable(text, i + 2)
            current += text[i:end]
            i = end
        elif text[i] == ":" and len(fields) < 5:
            fields.append(current)
            current, i = "", i + 1
        else:
            current += text[i]
            i += 1
    return [*fields, current]


def end_of_variable(text, i):
    try:
        _, end = variable(text, i, ANY_CONTEXT)
    except UnresolvableError as error:
        raise MalformedError from error
    return end


def resource_matches(pattern, kind, resource, context, variables):
    """Return True, False, or None: cannot be told, so not to be turned round by NotResource."""
    if pattern and set(pattern) == {"*"}:
        return True
    try:
        fields = colons_outside_variables(pattern, variables)
    except MalformedError:
        return None
    if fields[0] != "arn":
        return None
    if len(fields) < 6:
        return short_resource_matches(pattern, fields, kind, resource, context, variables)
    return fields_match(fields, resource, context, variables)


def short_resource_matches(pattern, fields, kind, resource, context, variables):
    wild = any(has_wildcard(field, variables) for field in fields)
    if kind in ("identity", "session", "boundary"):
        pads = True
    elif kind in ("resource", "endpoint"):
        if not wild:
            return False
        pads = True
    elif kind == "scp":
        last = read(fields[-1], ANY_CONTEXT, variables=variables, wildcards=True)
        pads = bool(last) and last[-1] is STAR
    else:
        pads = False
    if pads and fields_match([*fields, *["*"] * (6 - len(fields))], resource, context, variables):
        return True
    return None


def has_wildcard(text, variables):
    parts = read(text, ANY_CONTEXT, variables=variables, wildcards=True)
    return STAR in parts or ONE in parts


def fields_match(fields, resource, context, variables):
    try:
        parts = [read(field, context, variables=variables, wildcards=True) for field in fields]
    except UnresolvableError:
        return None
    if any(":" in part for part in parts[:5]):
        return None
    own = resource.split(":", 5)
    if len(own) != 6:
        return False
    return all(glob(part, text) for part, text in zip(parts, own, strict=True))


def statement_resource_matches(statement, kind, resource, context, variables):
    if "NotResource" in statement:
        answers = [
            resource_matches(each, kind, resource, context, variables)
            for each in listed(statement["NotResource"])
        ]
        return all(answer is False for answer in answers)
    if "Resource" not in statement:
        return True
    return any(
        resource_matches(each, kind, resource, context, variables)
        for each in listed(statement["Resource"])
    )


def listed(value):
    return value if isinstance(value, list) else [value]


def scalar(value):
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else str(value)


# --- conditions --------------------------------------------------------------------------------


def condition_matches(operator, key, values, context, variables):
    values = [scalar(value) for value in listed(values)]
    name = operator.lower()
    qualifier = ""
    if ":" in name:
        qualifier, name = name.rsplit(":", 1)
    if qualifier not in ("", "forallvalues", "foranyvalue"):
        return False
    found = lookup(context, key)
    if name == "null":
        if qualifier:
            return qualifier == "forallvalues"
        return any(value.lower() == ("true" if found is None else "false") for value in values)
    if_exists = name.endswith("ifexists")
    name = name[: -len("ifexists")] if if_exists else name
    if name not in COMPARE:
        return False
    compare, negated = COMPARE[name]

    def holds(text):
        answers = [compare(text, value, context, variables) for value in values]
        if negated:
            return readable(text, name) and all(answer is False for answer in answers)
        return any(answer is True for answer in answers)

    if found is None or (qualifier and not any(scalar(text) for text in listed(found))):
        return {"forallvalues": True, "foranyvalue": False}.get(qualifier, if_exists or negated)
    if qualifier:
        quantify = all if qualifier == "forallvalues" else any
        return quantify(holds(scalar(text)) for text in listed(found))
    return not isinstance(found, list) and holds(scalar(found))


def readable(text, name):
    """Whether the request's own text is of the operator's kind (matters with no policy values)."""
    if name.startswith("numeric"):
        return to_number(text) is not None
    if name.startswith("date"):
        return to_date(text) is not None
    if "ipaddress" in name:
        return to_address(text) is not None
    if name.startswith("arn"):
        return text.startswith("arn:") and text.count(":") >= 5
    return True


def text_compare(wildcards=False, fold=False, variables_allowed=True):
    def compare(text, value, context, variables):
        try:
            parts = read(
                value, context, variables=variables and variables_allowed, wildcards=wildcards
            )
        except UnresolvableError:
            return None
        if fold:
            return "".join(parts).lower() == text.lower()
        return glob(parts, text)

    return compare


def ordered(convert, test):
    def compare(text, value, context, variables):
        left, right = convert(text), convert(value)
        return None if left is None or right is None else test(left, right)

    return compare


def to_number(text):
    match = re.fullmatch(
        r"([+-]?)([0-9]{1,300})(?:\.([0-9]{0,300}))?(?:[eE]([+-]?[0-9]{1,3}))?", text
    )
    if not match:
        return None
    sign, whole, fraction, exponent = match.groups()
    value = Fraction(int(whole + (fraction or ""))) / 10 ** len(fraction or "")
    value *= Fraction(10) ** int(exponent or 0)
    return -value if sign == "-" else value


EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def to_date(text):
    """Seconds since 1970, exactly."""
    if re.fullmatch(r"[0-9]{4}", text):
        text += "-01-01"
    elif re.fullmatch(r"[0-9]{4}-[0-9]{2}", text):
        text += "-01"
    if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
        text += "T00:00Z"
    match = re.fullmatch(
        r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2})(?:(:[0-9]{2})(\.[0-9]+)?)?"
        r"(Z|[+-][0-9]{2}:[0-9]{2})",
        text,
    )
    if match:
        minute, second, fraction, zone = match.groups()
        try:
            moment = datetime.strptime(minute + (second or ":00") + "+0000", "%Y-%m-%dT%H:%M:%S%z")
        except ValueError:
            return None
        if second == ":60" or second == ":61":
            return None
        ahead = 0
        if zone != "Z":
            hours, minutes = int(zone[1:3]), int(zone[4:6])
            if hours > 23 or minutes > 59:
                return None
            ahead = (hours * 60 + minutes) * 60 * (-1 if zone[0] == "-" else 1)
        whole = (moment - EPOCH) // timedelta(seconds=1) - ahead
        return Fraction(whole) + Fraction("0" + fraction[:10] if fraction else 0)
    match = re.fullmatch(r"-?[0-9]{1,18}(\.[0-9]+)?", text)
    if not match:
        return None
    return Fraction(text[: text.index(".") + 10] if "." in text else text)


def to_address(text):
    try:
        return ipaddress.ip_address(text) if "%" not in text else None
    except ValueError:
        return None


def ip_compare(text, value, context, variables):
    address = to_address(text)
    if address is None or "%" in value:
        return None
    if "/" in value and not re.fullmatch(r"[0-9]{1,3}", value.split("/", 1)[1]):
        return None
    try:
        network = ipaddress.ip_network(value, strict=False)
    except ValueError:
        return None
    return address.version == network.version and address in network


def arn_compare(text, value, context, variables):
    if not text.startswith("arn:") or text.count(":") < 5:
        return None
    try:
        fields = colons_outside_variables(value, variables)
        if len(fields) != 6 or (variables and "${" in fields[0]):
            return None
        parts = [read(field, context, variables=variables, wildcards=True) for field in fields]
    except (UnresolvableError, MalformedError):
        return None
    if any(":" in part for part in parts[:5]) or not glob(parts[0], "arn"):
        return None
    own = text.split(":", 5)
    return all(glob(part, field) for part, field in zip(parts, own, strict=True))


def bool_compare(text, value, context, variables):
    try:
        value = "".join(read(value, context, variables=variables, wildcards=False))
    except UnresolvableError:
        return None
    left, right = text.lower(), value.lower()
    return left == right if {left, right} <= {"true", "false"} else None


COMPARE = {
    "stringequals": (text_compare(), False),
    "stringnotequals": (text_compare(), True),
    "stringequalsignorecase": (text_compare(fold=True), False),
    "stringnotequalsignorecase": (text_compare(fold=True), True),
    "stringlike": (text_compare(wildcards=True), False),
    "stringnotlike": (text_compare(wildcards=True), True),
    "numericequals": (ordered(to_number, lambda a, b: a == b), False),
    "numericnotequals": (ordered(to_number, lambda a, b: a == b), True),
    "numericlessthan": (ordered(to_number, lambda a, b: a < b), False),
    "numericlessthanequals": (ordered(to_number, lambda a, b: a <= b), False),
    "numericgreaterthan": (ordered(to_number, lambda a, b: a > b), False),
    "numericgreaterthanequals": (ordered(to_number, lambda a, b: a >= b), False),
    "dateequals": (ordered(to_date, lambda a, b: a == b), False),
    "datenotequals": (ordered(to_date, lambda a, b: a == b), True),
    "datelessthan": (ordered(to_date, lambda a, b: a < b), False),
    "datelessthanequals": (ordered(to_date, lambda a, b: a <= b), False),
    "dategreaterthan": (ordered(to_date, lambda a, b: a > b), False),
    "dategreaterthanequals": (ordered(to_date, lambda a, b: a >= b), False),
    "bool": (bool_compare, False),
    "binaryequals": (text_compare(variables_allowed=False), False),
    "ipaddress": (ip_compare, False),
    "notipaddress": (ip_compare, True),
    "arnequals": (arn_compare, False),
    "arnlike": (arn_compare, False),
    "arnnotequals": (arn_compare, True),
    "arnnotlike": (arn_compare, True),
}


# --- principals --------------------------------------------------------------------------------

NOT, ACCOUNT, IDENTITY, DIRECT = 0, 1, 2, 3


def account_of(principal):
    fields = (principal or "").split(":", 5)
    if len(fields) != 6 or fields[0] != "arn" or "-provider/" in fields[5]:
        return None
    return fields[4]


def principal_element(element, principal):
    if element == "*":
        return DIRECT
    best = NOT
    for kind, names in element.items():
        for name in listed(names):
            best = max(best, one_principal(kind, name, principal))
    return best


def one_principal(kind, name, principal):
    if kind != "AWS":
        return DIRECT if principal is not None and name == principal else NOT
    if name == "*":
        return DIRECT
    if account_of(principal) is None:
        return NOT
    _, partition, service, _, account, resource = principal.split(":", 5)
    if name == principal:
        return IDENTITY if resource.startswith("role/") else DIRECT
    if name in (account, f"arn:{partition}:iam::{account}:root"):
        return ACCOUNT
    if service == "sts" and resource.startswith("assumed-role/"):
        role = resource.split("/")[1]
        prefix = f"arn:{partition}:iam::{account}:role/"
        if name.startswith(prefix) and name.split("/")[-1] == role:
            return IDENTITY
    if service == "sts" and resource.startswith("federated-user/"):
        user = resource.split("/", 1)[1]
        if name == f"arn:{partition}:iam::{account}:user/{user}":
            return IDENTITY
    return NOT


def naming(statement, principal, bounded):
    if "Principal" in statement:
        return principal_element(statement["Principal"], principal)
    if "NotPrincipal" not in statement:
        return NOT
    if bounded and statement["Effect"] == "Deny":
        return DIRECT
    best = principal_element(statement["NotPrincipal"], principal)
    if best == ACCOUNT and statement["Effect"] == "Deny" and not principal.endswith(":root"):
        return DIRECT
    return NOT if best else DIRECT


# --- decisions ---------------------------------------------------------------------------------


def statement_applies(statement, kind, version, request, bounded):
    """Return how the statement names the caller if it applies, else NOT."""
    variables = version == "2012-10-17"
    if "Action" in statement:
        if not any(action_matches(each, request["action"]) for each in listed(statement["Action"])):
            return NOT
    elif any(action_matches(each, request["action"]) for each in listed(statement["NotAction"])):
        return NOT
    if not statement_resource_matches(
        statement, kind, request["resource"], request["context"], variables
    ):
        return NOT
    for operator, block in statement.get("Condition", {}).items():
        for key, values in block.items():
            if not condition_matches(operator, key, values, request["context"], variables):
                return NOT
    if kind in ("resource", "rcp", "endpoint"):
        return naming(statement, request["principal"], bounded)
    return DIRECT


def ask(documents, kind, request, bounded):
    """Return (a Deny applies, the most direct Allow that applies)."""
    denied, allowed = False, NOT
    for document in documents:
        for statement in listed(document["Statement"]):
            version = document.get("Version", "2008-10-17")
            named = statement_applies(statement, kind, version, request, bounded)
            if named and statement["Effect"] == "Deny":
                denied = True
            elif named:
                allowed = max(allowed, named)
    return denied, allowed


def decide(policies, request):
    """Policies: identity [..], boundary/session/endpoint [..] or None, resource {..} or None,
    scps and rcps: [[..], ..]. Request: action, resource, principal, context, account."""
    principal = request["principal"]
    own = account_of(principal)
    if request["action"].lower() == "sts:getcalleridentity":
        return "allowed"
    bounded = policies["boundary"] is not None
    linked = own is not None and principal.split(":", 5)[5].startswith(
        ("role/aws-service-role/", "assumed-role/AWSServiceRoleFor")
    )
    answers = {}
    for kind in ("identity", "boundary", "session", "endpoint", "resource"):
        if policies[kind] is not None:
            documents = [policies[kind]] if kind == "resource" else policies[kind]
            answers[kind] = ask(documents, kind, request, bounded)
    levels = []
    if own is not None or (principal is None and policies["resource"] is None):
        levels = [ask(level, "scp", request, bounded) for level in policies["scps"] if not linked]
    if not linked:
        levels += [ask(level, "rcp", request, bounded) for level in policies["rcps"]]
    if any(denied for denied, _ in (*answers.values(), *levels)):
        return "explicitDeny"
    allow = {kind: allowed for kind, (_, allowed) in answers.items()}
    if not all(allowed for _, allowed in levels):
        return "implicitDeny"
    if "endpoint" in allow and not allow["endpoint"]:
        return "implicitDeny"
    return "allowed" if accounts_allow(policies, request, own, allow) else "implicitDeny"


def accounts_allow(policies, request, own, allow):
    limits = all(allow[kind] for kind in ("boundary", "session") if kind in allow)
    by_identity = bool(allow["identity"]) and limits
    named = allow.get("resource", NOT)
    owner = request["account"]
    if owner is None and "resource" in allow:
        fields = request["resource"].split(":", 5)
        if len(fields) == 6 and fields[4].isdigit():
            owner = fields[4]
    if own is not None and owner is not None and owner != own:
        return by_identity and named != NOT
    if "resource" in allow and named == NOT and trust_or_key(request):
        return False
    if by_identity:
        return True
    if own is None:
        return named == DIRECT
    return named == DIRECT or (named == IDENTITY and limits)


def trust_or_key(request):
    action, resource = request["action"].lower(), request["resource"]
    if action.startswith("kms:"):
        return ":key/" in resource
    return action.startswith(("sts:assumerole", "sts:tagsession")) and ":role/" in resource
