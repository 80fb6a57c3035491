"""A kind of requests, written on one line.

    ec2:TerminateInstances on arn:aws:ec2:*:*:instance/* where aws:ResourceTag/Team != red, blue
    not ec2:Describe* where aws:RequestedRegion not like eu-* and aws:SourceIp is absent

Actions, `on` resources, `where` conditions joined by `and`. A condition is a key; then one of `=`,
`!=`, `like`, `not like`, `<`, `<=`, `>`, `>=`, `is absent`, `is present`, or an operator by name
(`IpAddress`, `ForAnyValue:StringLike`); then values separated by commas, of which one is enough, or
for the negated operators none may be met, as in a policy.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from cml_iam.engine import OPERATORS
from cml_iam.engine._conditions import unknown_operator
from cml_iam.errors import DocumentError, Place, Problem
from cml_iam.policy import did_you_mean
from cml_iam.prove._answers import Shape
from cml_iam.reference import service, services

SYMBOLS: Final = {
    "=": "StringEquals",
    "!=": "StringNotEquals",
    "<": "NumericLessThan",
    "<=": "NumericLessThanEquals",
    ">": "NumericGreaterThan",
    ">=": "NumericGreaterThanEquals",
    "like": "StringLike",
    "not like": "StringNotLike",
}
WORDS: Final = frozenset({"on", "where", "and", "not", "is", "like"})
NAME: Final = "the shape"
ARN_COLONS: Final = 5

_TOKEN: Final = re.compile(
    r'\s*(?:"(?P<quoted>[^"]*)"|(?P<symbol>!=|<=|>=|[=<>,])|(?P<word>[^\s,"=<>!]+))'
)


@dataclass(frozen=True, slots=True)
class Token:
    """A word, a symbol, or a *quoted* text; *column* counts from 1."""

    text: str
    column: int
    quoted: bool = False

    def says(self, word: str) -> bool:
        """Say whether this is the keyword or symbol *word*."""
        return not self.quoted and self.text.lower() == word


def parse_shape(text: str, name: str = NAME) -> Shape:
    """Read a kind of requests; raises DocumentError with the place of what is wrong."""
    return _Reader(_tokens(text, name), text, name).shape()


def _tokens(text: str, name: str) -> list[Token]:
    found: list[Token] = []
    at = 0
    while text[at:].strip():
        match = _TOKEN.match(text, at)
        if match is None:
            rest = text[at:].lstrip()
            column = len(text) - len(rest) + 1
            wrong = "a quotation mark that is not closed" if rest[0] == '"' else f"`{rest[0]}`"
            raise DocumentError((Problem(f"cannot read {wrong} here", Place(name, 1, column)),))
        kind = match.lastgroup or "word"
        start = match.start(kind) - (kind == "quoted")
        found.append(Token(match[kind], start + 1, kind == "quoted"))
        at = match.end()
    return found


class _Reader:
    """Reads tokens one after another."""

    def __init__(self, tokens: Sequence[Token], text: str, name: str) -> None:
        self._left, self._end, self._name = list(tokens), len(text) + 1, name

    def shape(self) -> Shape:
        """Read all of it."""
        negated = self._take("not")
        actions = self._values("an action, such as `ec2:TerminateInstances`")
        for each in actions:
            self._check_action(each)
        outside, resources = False, [Token("*", 0)]
        if self._take("on"):
            outside = self._take("not")
            resources = self._values("a resource: an ARN, or `*`")
            for each in resources:
                self._check_resource(each)
        conditions = self._conditions() if self._take("where") else {}
        if self._left:
            self._fail(self._left[0], f"cannot go on with `{self._left[0].text}`", self._after())
        names = tuple(each.text for each in actions)
        arns = tuple(each.text for each in resources)
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
            key = self._word("a condition key, such as `aws:RequestedRegion`")
            operator, values = self._test(key)
            block = conditions.setdefault(operator, {})
            if key.text in block:
                why = f"`{key.text}` is tested by {operator} already"
                self._fail(key, why, "write all its values in one condition, with commas")
            block[key.text] = values
            if not self._take("and"):
                return conditions

    def _test(self, key: Token) -> tuple[str, list[str]]:
        """Read what follows a key: an operator and its values."""
        what = f"what `{key.text}` must be: `=`, `!=`, `like`, `is absent` …"
        token = self._word(what)
        if token.says("is"):
            state = self._word("`absent` or `present`")
            if not (state.says("absent") or state.says("present")):
                self._fail(state, f"`{state.text}` is neither `absent` nor `present`")
            return "Null", ["true" if state.says("absent") else "false"]
        if token.says("not"):
            like = self._word("`like`")
            if not like.says("like"):
                self._fail(like, f"`not {like.text}` is no test", "write `not like`, or `!=`")
            operator = SYMBOLS["not like"]
        else:
            operator = SYMBOLS.get(token.text.lower(), token.text)
            problem = unknown_operator(operator)
            if problem:
                self._fail(
                    token, f"`{token.text}` is no operator", did_you_mean(operator, _names())
                )
        return operator, [each.text for each in self._values("a value")]

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
        if not token.quoted and (
            token.text == "," or token.text.lower() in WORDS - {"is", "not", "like"}
        ):
            self._fail(token, f"`{token.text}` stands where {what} must be")
        return token

    def _take(self, word: str) -> bool:
        if self._left and self._left[0].says(word):
            self._left.pop(0)
            return True
        return False

    def _after(self) -> str:
        return "after the actions comes `on`, after the resources `where`, between conditions `and`"

    def _check_action(self, token: Token) -> None:
        prefix, colon, name = token.text.partition(":")
        if token.text == "*":
            return
        if not colon or not name:
            self._fail(token, f"`{token.text}` is no action", "an action is `service:Name`")
        owner = service(prefix.lower())
        if owner is None and "*" not in prefix:
            known = did_you_mean(prefix, services())
            self._fail(token, f"AWS has no service `{prefix}`", known)
        if owner and not set(name) & set("*?") and owner.action(name) is None:
            known = did_you_mean(name, owner.action_names)
            self._fail(token, f"`{prefix}` has no action `{name}`", known)

    def _check_resource(self, token: Token) -> None:
        if token.text != "*" and token.text.count(":") < ARN_COLONS:
            self._fail(
                token,
                f"`{token.text}` is no ARN",
                "an ARN is arn:PARTITION:SERVICE:REGION:ACCOUNT:RESOURCE; `*` is every resource",
            )

    def _fail(self, token: Token, message: str, remedy: str | None = None) -> None:
        raise DocumentError((Problem(message, Place(self._name, 1, token.column), remedy),))


def _names() -> list[str]:
    return [*SYMBOLS, *(each.name for each in OPERATORS.values())]
