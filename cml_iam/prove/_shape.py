"""A set of requests, written on one line.

    ec2:TerminateInstances on arn:aws:ec2:*:*:instance/* where aws:ResourceTag/Team != red, blue
    not ec2:Describe* where aws:RequestedRegion not like eu-* and aws:SourceIp is absent

Actions, `on` resources, `where` conditions joined by `and`. A condition is a key; then one of `=`,
`!=`, `like`, `not like`, `<`, `<=`, `>`, `>=`, `is absent`, `is present`, or an operator by name
(`IpAddress`, `ForAnyValue:StringLike`); then values separated by commas. As in a policy, one match
is enough, and for negated operators none may match. Signs compare by the type of the key: dates,
numbers, addresses, ARNs. `!=` holds wherever `=` does not, including when the key is absent.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final, Literal, NamedTuple, NoReturn

from cml_iam.engine import OPERATORS
from cml_iam.engine.parts import Keys, Scope, compile_condition, unknown_operator
from cml_iam.errors import DocumentError, Place, Problem
from cml_iam.facts import action_problem, is_unknown_key, key_hint, key_type
from cml_iam.policy import Condition, Shape, did_you_mean

_TOKEN: Final = re.compile(
    r"""\s*(?:"(?P<quoted>[^"]*)"|'(?P<single>[^']*)'|(?P<symbol>,|[=<>!]+)"""
    r"""|(?P<word>[^\s,"'=<>!][^\s,"=<>!]*))"""
)
_WORDS: Final = frozenset({"on", "where", "and"})
_STATES: Final = {"absent": "true", "present": "false"}
_NULL: Final = "Null"
_NOT_TRUE: Final = "BoolIfExists"
"""The operator for `!= true` on a Boolean key: the key is false, or absent."""

_ORDER: Final = {
    "<": "LessThan",
    "<=": "LessThanEquals",
    ">": "GreaterThan",
    ">=": "GreaterThanEquals",
}
_LIKE: Final = {"like": "StringLike", "not like": "StringNotLike"}
_NUMBERS: Final = {
    "=": "NumericEquals",
    "!=": "NumericNotEquals",
    **{sign: f"Numeric{name}" for sign, name in _ORDER.items()},
}
_DATES: Final = {sign: name.replace("Numeric", "Date") for sign, name in _NUMBERS.items()}
_BY_TYPE: Final[Mapping[str, Mapping[str, str]]] = {
    # The value of a tag may be a number.
    "String": {**_NUMBERS, "=": "StringEquals", "!=": "StringNotEquals", **_LIKE},
    "Numeric": {**_NUMBERS, **_LIKE},
    "Date": {**_DATES, **_LIKE},
    "IPAddress": {"=": "IpAddress", "!=": "NotIpAddress", **_LIKE},
    "Bool": {"=": "Bool", "!=": _NOT_TRUE},
    "ARN": {"=": "ArnEquals", "!=": "ArnNotEquals", "like": "ArnLike", "not like": "ArnNotLike"},
}
_SIGNS: Final = tuple(_BY_TYPE["String"])
_SEVERAL: Final = "ArrayOf"
_OF_SEVERAL: Final = {
    "=": "ForAnyValue:",
    "like": "ForAnyValue:",
    "!=": "ForAllValues:",
    "not like": "ForAllValues:",
}

_FOLLOWING: Final = {
    "or": "separate actions, resources and values by commas; conditions are joined by `and`",
    "and": "separate actions and resources by commas; `and` joins conditions, after `where`",
    **dict.fromkeys(("if", "when", "with"), "conditions come after `where`"),
}
_IN: Final = "write `=`; with several values, separated by commas, one match is enough"
_INSTEAD: Final = {
    **dict.fromkeys(("in", "any", "one"), _IN),
    **dict.fromkeys(("==", "===", "equals"), "write `=`"),
    **dict.fromkeys(("<>", "!==", "!"), "write `!=`"),
    "=>": "write `>=`",
    "=<": "write `<=`",
    "matches": "write `like`",
}
_ADDRESS: Final = "an address is written `192.0.2.7`, a range `192.0.2.0/24`"
_FORMS: Final = {
    "numeric": "a number is written `3600` or `1.5`",
    "date": "a date is written `2026-01-31` or `2026-01-31T12:00:00Z`",
    "ip": _ADDRESS,
    "notip": _ADDRESS,
    "arn": "an ARN is arn:PARTITION:SERVICE:REGION:ACCOUNT:RESOURCE",
    "bool": "write `true` or `false`",
    "null": "write `true` (the key is absent) or `false`",
}
"""How the values of an operator are written, by the beginning of its name."""


_Kind = Literal["word", "symbol", "quoted"]
_KINDS: Final[Mapping[str, _Kind]] = {"word": "word", "symbol": "symbol"}


class _Token(NamedTuple):
    """A word, a symbol, or a quoted text; *column* counts from 1."""

    text: str
    column: int
    kind: _Kind = "word"

    def says(self, word: str) -> bool:
        """Return whether this is the keyword or symbol *word*."""
        return self.kind != "quoted" and self.text.lower() == word


def parse_shape(text: str, name: str = "the shape") -> Shape:
    """Parse a set of requests; raises DocumentError with the place of the error."""
    return _Reader(text, name).shape()


def _operator_of(sign: str, key: str) -> str | None:
    """Return the operator that *sign* means for *key*; None if its type has none."""
    kind = key_type(key) or "String"
    operators = _BY_TYPE.get(kind.removeprefix(_SEVERAL), _BY_TYPE["String"])
    name = operators.get(sign)
    if name is None or not kind.startswith(_SEVERAL):
        return name
    return f"{_OF_SEVERAL[sign]}{name}" if sign in _OF_SEVERAL and name != _NOT_TRUE else None


class _Reader:
    def __init__(self, text: str, name: str) -> None:
        self._end, self._name = _Token("", len(text) + 1), name
        self._left = self._tokens(text)

    def _tokens(self, text: str) -> list[_Token]:
        tokens: list[_Token] = []
        at = 0
        while text[at:].strip():
            match = _TOKEN.match(text, at)
            column = len(text) - len(text[at:].lstrip()) + 1
            if match is None:
                self._fail(_Token("", column), "a quotation mark is not closed")
            group = match.lastgroup or ""
            kind = _KINDS.get(group, "quoted")
            tokens.append(_Token(match[group], column, kind))
            at = match.end()
        return tokens

    def shape(self) -> Shape:
        """Parse the whole text."""
        negated = self._take("not")
        expected = "an action, such as `ec2:TerminateInstances`,"
        actions = self._values(expected, self._check_action)
        outside, resources = False, [_Token("*", 0)]
        if self._take("on"):
            outside = self._take("not")
            resources = self._values("a resource, an ARN or `*`,", self._check_resource)
        conditions = self._conditions() if self._take("where") else {}
        if self._left:
            token = self._left[0]
            self._fail(token, f"unexpected `{token.text}`", _following(token.text.lower()))
        names = tuple(action.text for action in actions)
        arns = tuple(resource.text for resource in resources)
        return Shape(
            actions=("*",) if negated else names,
            resources=("*",) if outside else arns,
            conditions=conditions,
            not_actions=names if negated else None,
            not_resources=arns if outside else None,
        )

    def _conditions(self) -> dict[str, dict[str, list[str]]]:
        conditions: dict[str, dict[str, list[str]]] = {}
        while True:
            key = self._word("a condition key, such as `aws:RequestedRegion`,")
            if is_unknown_key(key.text):
                self._fail(key, f"AWS has no condition key `{key.text}`", key_hint(key.text))
            operator, values = self._test(key)
            block = conditions.setdefault(operator, {})
            if key.text.lower() in map(str.lower, block):
                why = f"`{key.text}` is tested by {operator} already"
                self._fail(key, why, "write all its values in one condition, with commas")
            block[key.text] = values
            if not self._take("and"):
                return conditions

    def _test(self, key: _Token) -> tuple[str, list[str]]:
        expected = f"a test of `{key.text}` (`=`, `!=`, `like`, `is absent` …)"
        token = self._next(expected)
        if token.says(",") or token.kind == "quoted" or token.text.lower() in _WORDS:
            self._fail(token, f"expected {expected} instead of `{token.text}`")
        if token.says("is"):
            return _NULL, [self._state(token)]
        sign = self._sign(token)
        operator = self._of_sign(sign, token, key.text) if sign else token.text
        check = partial(self._check_value, operator=operator, key=key.text, sign=sign)
        texts = [value.text for value in self._values("a value", check)]
        if not sign or operator != _NOT_TRUE:
            return operator, texts
        listed = {text.lower() for text in texts}
        others = [text for text in ("true", "false") if text not in listed]
        if not others:
            why = f"`{key.text}` is true or false if it is present"
            self._fail(token, why, "write `is absent`")
        return operator, others

    def _sign(self, token: _Token) -> str:
        """Return the sign that begins with *token*, empty if *token* is an operator's name."""
        name = token.text.lower()
        if token.says("not"):
            like = self._word("`like`")
            if not like.says("like"):
                self._fail(like, f"`not {like.text}` is not a test", "write `not like`, or `!=`")
            return "not like"
        if name in _SIGNS:
            return name
        if unknown_operator(token.text) is not None:
            names = [*_SIGNS, *(operator.name for operator in OPERATORS.values()), _NULL]
            remedy = _INSTEAD.get(name) or did_you_mean(token.text.rpartition(":")[2], names)
            self._fail(token, f"`{token.text}` is not an operator", remedy)
        return ""

    def _of_sign(self, sign: str, token: _Token, key: str) -> str:
        operator = _operator_of(sign, key)
        if operator is None:
            kind = key_type(key) or "String"
            nature = "is a list" if kind.startswith(_SEVERAL) else f"is of type {kind}"
            fit = ", ".join(f"`{other}`" for other in _SIGNS if _operator_of(other, key))
            remedy = f"write {fit}, or an operator of policies by its name"
            self._fail(token, f"`{sign}` does not fit here: `{key}` {nature}", remedy)
        return operator

    def _state(self, word: _Token) -> str:
        """Parse what follows `is`; return the value of Null."""
        state = self._word("`absent` or `present`")
        name = state.text.lower()
        if name not in _STATES:
            meant = f"= {state.text}"
            if name == "not" and self._left:
                other = self._left[0].text
                opposite = {"absent": "is present", "present": "is absent"}
                name, meant = f"not {other}", opposite.get(other.lower(), f"!= {other}")
            elif name in {"null", "missing", "none", "empty", "unset"}:
                meant = "is absent"
            self._fail(word, f"`is {name}` is not a test", f"write `{meant}`")
        return _STATES[name]

    def _values(self, expected: str, check: Callable[[_Token], None]) -> list[_Token]:
        values = [self._word(expected)]
        while self._take(","):
            values.append(self._word(expected))
        for value in values:
            check(value)
        return values

    def _word(self, expected: str) -> _Token:
        token = self._next(expected)
        if token.kind == "symbol" or (token.kind == "word" and token.text.lower() in _WORDS):
            self._fail(token, f"expected {expected.rstrip(',')} instead of `{token.text}`")
        if token.kind == "word" and token.text[0] in "[({":
            why = "write the values without brackets, separated by commas"
            self._fail(token, f"cannot read `{token.text}`", why)
        return token

    def _next(self, expected: str) -> _Token:
        if not self._left:
            self._fail(self._end, f"{expected} is missing at the end")
        return self._left.pop(0)

    def _take(self, word: str) -> bool:
        if self._left and self._left[0].says(word):
            self._left.pop(0)
            return True
        return False

    def _check_action(self, token: _Token) -> None:
        _, colon, name = token.text.partition(":")
        if token.text in {"*", "*:*"}:
            return
        if not colon or not name:
            self._fail(
                token,
                f"`{token.text}` is not an action",
                "an action is `service:Name`, such as `ec2:StopInstances`; `*` is every action",
            )
        problem = action_problem(token.text)
        if problem:
            self._fail(token, *problem)

    def _check_resource(self, token: _Token) -> None:
        fields = token.text.split(":", 5)
        if token.text != "*" and (fields[0] != "arn" or not fields[5:]):
            why = f"{_FORMS['arn']}; `*` is every resource"
            self._fail(token, f"`{token.text}` is not an ARN", why)

    def _check_value(self, token: _Token, operator: str, key: str, sign: str) -> None:
        """Refuse a value that *operator* never matches, or whose wildcards it ignores."""
        condition = Condition(operator, key, (token.text,))
        problems = compile_condition(condition, Scope(variables=True, keys=Keys())).problems
        base = operator.rpartition(":")[2]
        if problems:
            forms = (form for name, form in _FORMS.items() if base.lower().startswith(name))
            self._fail(token, problems[0], next(forms, None))
        exact = base in {"StringEquals", "StringNotEquals"}
        if sign and token.kind == "word" and exact and set(token.text) & set("*?"):
            like = "like" if sign == "=" else "not like"
            self._fail(
                token,
                f"`{sign}` has no wildcards, but `{token.text}` has some",
                f"write `{like} {token.text}`, or quote it to match exactly these characters",
            )

    def _fail(self, token: _Token, message: str, remedy: str | None = None) -> NoReturn:
        raise DocumentError((Problem(message, Place(self._name, 1, token.column), remedy),))


def _following(text: str) -> str:
    """Return advice on what may come instead of *text*."""
    if text.startswith("arn:"):
        return "write `on` before resources, and commas between them"
    usual = "after the actions comes `on`, after the resources `where`, between conditions `and`"
    return _FOLLOWING.get(text, usual)
