"""A set of requests, written on one line.

    ec2:TerminateInstances on arn:aws:ec2:*:*:instance/* where aws:ResourceTag/Team != red, blue
    not ec2:Describe* where aws:RequestedRegion not like eu-* and aws:SourceIp is absent

Actions, `on` resources, `where` conditions joined by `and`. A condition is a key; then one of `=`,
`!=`, `like`, `not like`, `<`, `<=`, `>`, `>=`, `is absent`, `is present`, or an operator by name
(`IpAddress`, `ForAnyValue:StringLike`); then values separated by commas. As in a policy, one match
is enough, and for negated operators none may match. Signs compare by the type of the key: dates,
numbers, addresses, ARNs. `!=` holds wherever `=` does not, including when the key is absent.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, NoReturn

from cml_iam.errors import DocumentError, Place, Problem
from cml_iam.facts import action_problem, is_unknown_key, key_hint
from cml_iam.prove._shape_signs import (
    NOT_TRUE,
    NULL,
    SIGNS,
    flipped,
    is_pattern,
    named_problem,
    operator_of,
    type_of,
    value_problem,
)
from cml_iam.space import Shape

WORDS: Final = frozenset({"on", "where", "and"})
NAME: Final = "the shape"
ARN_COLONS: Final = 5

_TOKEN: Final = re.compile(
    r"""\s*(?:"(?P<quoted>[^"]*)"|'(?P<single>[^']*)'|(?P<symbol>,|[=<>!]+)"""
    r"""|(?P<word>[^\s,"'=<>!][^\s,"=<>!]*))"""
)
_AFTER: Final = (
    "after the actions comes `on`, after the resources `where`, between conditions `and`"
)
_INSTEAD: Final = {
    "or": "separate actions, resources and values by commas; conditions are joined by `and`",
    "and": "separate actions and resources by commas; `and` joins conditions, after `where`",
    "if": "conditions come after `where`",
    "when": "conditions come after `where`",
    "with": "conditions come after `where`",
}
_STATES: Final = {"absent": "true", "present": "false"}
_OTHER_STATE: Final = {"absent": "is present", "present": "is absent"}
_ABSENT: Final = frozenset({"null", "missing", "none", "empty", "unset"})


@dataclass(frozen=True, slots=True)
class Token:
    """A word, a symbol, or a quoted text; *column* counts from 1."""

    text: str
    column: int
    kind: Literal["word", "symbol", "quoted"] = "word"

    def says(self, word: str) -> bool:
        """Return whether this is the keyword or symbol *word*."""
        return self.kind != "quoted" and self.text.lower() == word


def parse_shape(text: str, name: str = NAME) -> Shape:
    """Parse a set of requests; raises DocumentError with the place of the error."""
    return _Reader(_tokens(text, name), text, name).shape()


def _tokens(text: str, name: str) -> list[Token]:
    found: list[Token] = []
    at = 0
    while text[at:].strip():
        match = _TOKEN.match(text, at)
        if match is None:
            column = len(text) - len(text[at:].lstrip()) + 1
            wrong = "a quotation mark is not closed"
            raise DocumentError((Problem(f"cannot read {wrong}", Place(name, 1, column)),))
        start = match.end() - len(match[0].lstrip())
        if match["symbol"] is not None:
            found.append(Token(match["symbol"], start + 1, "symbol"))
        elif match["word"] is not None:
            found.append(Token(match["word"], start + 1))
        else:
            quoted = match["quoted"] if match["quoted"] is not None else match["single"]
            found.append(Token(quoted, start + 1, "quoted"))
        at = match.end()
    return found


class _Reader:
    """Reads tokens one after another."""

    def __init__(self, tokens: Sequence[Token], text: str, name: str) -> None:
        self._left, self._end, self._name = list(tokens), len(text) + 1, name

    def shape(self) -> Shape:
        """Parse the whole text."""
        negated = self._take("not")
        actions = self._values("an action, such as `ec2:TerminateInstances`,")
        for action in actions:
            self._check_action(action)
        outside, resources = False, [Token("*", 0)]
        if self._take("on"):
            outside = self._take("not")
            resources = self._values("a resource, an ARN or `*`,")
            for resource in resources:
                self._check_resource(resource)
        conditions = self._conditions() if self._take("where") else {}
        if self._left:
            token = self._left[0]
            self._fail(token, f"unexpected `{token.text}`", _go_on(token))
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

    def _test(self, key: Token) -> tuple[str, list[str]]:
        """Parse what follows a key: an operator and its values."""
        token = self._operator(key)
        if token.says("is"):
            return NULL, [self._state(token)]
        sign = self._sign(token)
        operator = self._of_sign(sign, token, key) if sign else token.text
        values = self._values("a value")
        for value in values:
            self._check_value(value, operator, key, sign)
        texts = [value.text for value in values]
        if not sign or operator != NOT_TRUE:
            return operator, texts
        if not flipped(texts):
            self._fail(
                token, f"`{key.text}` is true or false if it is present", "write `is absent`"
            )
        return operator, flipped(texts)

    def _sign(self, token: Token) -> str:
        """Return the sign that begins with *token*, or None if *token* is an operator's name."""
        if token.says("not"):
            like = self._word("`like`")
            if not like.says("like"):
                self._fail(like, f"`not {like.text}` is not a test", "write `not like`, or `!=`")
            return "not like"
        if token.text.lower() in SIGNS:
            return token.text.lower()
        problem = named_problem(token.text)
        if problem:
            self._fail(token, *problem)
        return ""

    def _of_sign(self, sign: str, token: Token, key: Token) -> str:
        operator = operator_of(sign, key.text)
        if operator is None:
            fit = [f"`{each}`" for each in SIGNS if operator_of(each, key.text)]
            remedy = f"write {', '.join(fit)}, or an operator of policies by its name"
            self._fail(token, f"`{sign}` does not fit here: {type_of(key.text)}", remedy)
        return operator

    def _operator(self, key: Token) -> Token:
        what = f"a test of `{key.text}` (`=`, `!=`, `like`, `is absent` …)"
        if not self._left:
            self._fail(Token("", self._end), f"{what} is missing at the end")
        token = self._left.pop(0)
        if token.says(",") or token.kind == "quoted" or token.text.lower() in WORDS:
            self._fail(token, f"expected {what} instead of `{token.text}`")
        return token

    def _state(self, word: Token) -> str:
        """Parse what follows `is`; return the value of Null."""
        state = self._word("`absent` or `present`")
        name = state.text.lower()
        if name not in _STATES:
            if name == "not" and self._left:
                other = self._left[0].text
                name, meant = f"not {other}", _OTHER_STATE.get(other.lower(), f"!= {other}")
            else:
                meant = "is absent" if name in _ABSENT else f"= {state.text}"
            self._fail(word, f"`is {name}` is not a test", f"write `{meant}`")
        return _STATES[name]

    def _values(self, what: str) -> list[Token]:
        found = [self._word(what)]
        while self._left and self._left[0].says(","):
            self._left.pop(0)
            found.append(self._word(what))
        return found

    def _word(self, what: str) -> Token:
        if not self._left:
            self._fail(Token("", self._end), f"{what} is missing at the end")
        token = self._left.pop(0)
        if token.kind == "symbol" or (token.kind == "word" and token.text.lower() in WORDS):
            self._fail(token, f"expected {what.rstrip(',')} instead of `{token.text}`")
        if token.kind == "word" and token.text[0] in "[({":
            why = "write the values without brackets, separated by commas"
            self._fail(token, f"cannot read `{token.text}`", why)
        return token

    def _take(self, word: str) -> bool:
        if self._left and self._left[0].says(word):
            self._left.pop(0)
            return True
        return False

    def _check_action(self, token: Token) -> None:
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

    def _check_resource(self, token: Token) -> None:
        fields = token.text.split(":")
        if token.text != "*" and (fields[0] != "arn" or len(fields) <= ARN_COLONS):
            self._fail(
                token,
                f"`{token.text}` is not an ARN",
                "an ARN is arn:PARTITION:SERVICE:REGION:ACCOUNT:RESOURCE; `*` is every resource",
            )

    def _check_value(self, token: Token, operator: str, key: Token, sign: str) -> None:
        found = value_problem(operator, key.text, token.text)
        if found:
            self._fail(token, *found)
        if sign and token.kind == "word" and is_pattern(operator, token.text):
            like = "like" if sign == "=" else "not like"
            self._fail(
                token,
                f"`{sign}` has no wildcards, but `{token.text}` has some",
                f"write `{like} {token.text}`, or quote it to match exactly these characters",
            )

    def _fail(self, token: Token, message: str, remedy: str | None = None) -> NoReturn:
        raise DocumentError((Problem(message, Place(self._name, 1, token.column), remedy),))


def _go_on(token: Token) -> str:
    """Return advice on what may follow *token*."""
    text = token.text.lower()
    if text.startswith("arn:"):
        return "write `on` before resources, and commas between them"
    return _INSTEAD.get(text, _AFTER)
