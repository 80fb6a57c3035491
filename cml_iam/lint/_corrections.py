"""Corrections of findings, each with a claim; a spelling only if the intended word is certain."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from cml_iam import facts
from cml_iam.engine import OPERATORS
from cml_iam.errors import Place
from cml_iam.lint._finding import Claim, Correction, Edit
from cml_iam.lint._subject import Clause, Item
from cml_iam.policy import VERSION_2012, Located, Path, policy_schema

OPERATOR_NAMES: Final = (*(operator.name for operator in OPERATORS.values()), "Null")
TAG_KEYS: Final = "aws:TagKeys"
GUARD: Final = "ForAllValues:StringNotEqualsIgnoreCase"
WEAK_GUARD: Final = "ForAllValues:StringNotEquals"
SPELLED: Final = "ForAnyValue:StringEquals"

CLOSE: Final = 0.9
"""The minimum similarity of two words, from 0 to 1."""

MARGIN: Final = 0.03
"""The minimum lead of the closest word over the second closest."""


def certain(word: str, known: Iterable[str]) -> str | None:
    """Return the word in *known* that *word* certainly means, ignoring case, or None."""
    from difflib import SequenceMatcher, get_close_matches

    by_case = {name.lower(): name for name in known}
    lower = word.lower()
    if lower in by_case:
        return by_case[lower]
    swapped = [name for name in by_case if sorted(name) == sorted(lower)]
    if len(swapped) == 1:
        return by_case[swapped[0]]
    close = get_close_matches(lower, by_case, n=2, cutoff=CLOSE - MARGIN)
    if not close:
        return None
    first, *others = (SequenceMatcher(None, name, lower).ratio() for name in close)
    clear = first >= CLOSE and all(first - other >= MARGIN for other in others)
    return by_case[close[0]] if clear else None


def correction(item: Item, *edits: Edit, claim: Claim = "narrower") -> Correction | None:
    """Return *edits* of *item*'s document as a correction; None if there is no edit or text."""
    located = item.document.located
    if located is None or not edits:
        return None
    return Correction(edits, located, item.path, claim)


def known_action(item: Item, at: Path, text: str) -> Correction | None:
    """Suggest the action spelled most like *text*, which is at the path *at* of the statement.

    This is a guess: the permission for the operation ListBuckets is s3:ListAllMyBuckets, while
    s3:ListBucket is a different permission.
    """
    located = item.document.located
    prefix, _, name = text.partition(":")
    owner = facts.service(prefix)
    if located is None or owner is None or not name or "*" in text or "?" in text:
        return None
    meant = certain(name, owner.action_names)
    if meant is None:
        return None
    path = (*item.path, *at)
    here = path if path in located.values else path[:-1]
    return correction(item, Edit("replace", here, value=f"{owner.name}:{meant}"), claim="guess")


def known_operator(item: Item, operator: str) -> Correction | None:
    qualifier, colon, base = operator.rpartition(":")
    meant = certain(base, (*OPERATOR_NAMES, *(f"{name}IfExists" for name in OPERATOR_NAMES)))
    quantifier = certain(qualifier, ("ForAllValues", "ForAnyValue")) if colon else ""
    if meant is None or quantifier is None or meant == "NullIfExists":
        return None
    # IAM refuses to store an unknown operator, so what the statement allows is missing.
    return _other_operator(item, operator, f"{quantifier}{colon}{meant}", claim="grant")


def _other_operator(
    item: Item, operator: str, name: str, *, claim: Claim = "narrower"
) -> Correction | None:
    """Rename a condition operator; None if the statement already has the new one."""
    taken = {condition.operator.lower() for condition in item.statement.conditions}
    if name.lower() in taken and name.lower() != operator.lower():
        return None
    edit = Edit("rename", (*item.path, "Condition", operator), name)
    return correction(item, edit, claim=claim)


def with_wildcards(clause: Clause, operator: str) -> Correction | None:
    """Use the *operator* that supports wildcards, if no other key of the operator has any."""
    item, condition = clause.item, clause.condition
    for other in item.statement.conditions:
        beside = other.operator == condition.operator and other.key != condition.key
        if beside and any(char in value for value in other.values for char in "*?"):
            return None
    return _other_operator(item, condition.operator, operator)


def known_key(clause: Clause) -> Correction | None:
    prefix = clause.key.partition(":")[0]
    head, slash, tail = clause.key.partition("/")
    alike = (name for name in facts.known_keys(prefix) if ("/" in name) is bool(slash))
    meant = certain(head, (name.partition("/")[0] for name in alike))
    return other_key(clause, f"{meant}{slash}{tail}") if meant else None


def other_key(clause: Clause, name: str, *, claim: Claim = "narrower") -> Correction | None:
    """Rename a condition key; None if its operator already has the new one."""
    operator = clause.condition.operator.lower()
    taken = {
        condition.key.lower()
        for condition in clause.item.statement.conditions
        if condition.operator.lower() == operator
    }
    if name.lower() in taken:
        return None
    return correction(
        clause.item, Edit("rename", (*clause.item.path, *clause.at), name), claim=claim
    )


def latest_version(item: Item) -> Correction | None:
    located = item.document.located
    if located is None:
        return None
    edit = Edit("begin", (), "Version", VERSION_2012)
    if "Version" in located.value:
        edit = Edit("replace", ("Version",), "Version", VERSION_2012)
    return Correction((edit,), located, claim="grant")


def any_resource(item: Item) -> Correction | None:
    """Replace the resources with `*`, if no action of the statement takes a resource."""
    if item.statement.resource is None or item.statement.action is None:
        return None
    all_known = all(element.actions for element in item.named)
    if not all_known or not all(action.takes_no_resource for action in item.actions.values()):
        return None
    return correction(item, Edit("replace", (*item.path, "Resource"), value="*"), claim="same")


def further_statement(item: Item, statement: dict[str, Any]) -> Correction | None:
    """Append *statement* to the document of *item*, if its statements are in a list."""
    located = item.document.located
    if located is None or not isinstance(located.value["Statement"], list):
        return None
    return correction(item, Edit("append", ("Statement",), value=statement), claim="grant")


def guarded_tag(item: Item, tag: str) -> Correction | None:
    """Exclude *tag* in every spelling from *item*, which only tags, and require tag keys."""
    names = {element.text.lower() for element in item.named}
    if not item.allows or not names <= {"ec2:createtags", "ec2:deletetags"}:
        return None
    blocks = item.raw.get("Condition", {})
    missing: dict[str, Any] = {}
    if "null" not in {operator.lower() for operator in blocks}:
        missing["Null"] = "false"
    if GUARD in blocks:
        return correction(item, *_on_tag_keys(item, missing))
    if WEAK_GUARD not in blocks:
        return correction(item, *_on_tag_keys(item, {GUARD: [tag]} | missing))
    if [key.lower() for key in blocks[WEAK_GUARD]] != [TAG_KEYS.lower()]:
        return None
    rename = Edit("rename", (*item.path, "Condition", WEAK_GUARD), GUARD)
    return correction(item, rename, *_on_tag_keys(item, missing))


def spelled_tag(item: Item, tag: str) -> Correction | None:
    """Add to *item*, an Allow, the condition that the tag's key is spelled *tag*."""
    if not item.allows or SPELLED in item.raw.get("Condition", {}):
        return None
    return correction(item, *_on_tag_keys(item, {SPELLED: [tag]}))


def _on_tag_keys(item: Item, values: dict[str, Any]) -> tuple[Edit, ...]:
    blocks = {operator: {TAG_KEYS: value} for operator, value in values.items()}
    if "Condition" not in item.raw:
        return (Edit("add", item.path, "Condition", blocks),) if blocks else ()
    path = (*item.path, "Condition")
    return tuple(Edit("add", path, operator, block) for operator, block in blocks.items())


def grammar_corrections(located: Located) -> dict[Place, Correction]:
    """Return corrections for misspelt element names and effects, by place."""
    corrections: dict[Place, Correction] = {}
    if not isinstance(located.value, dict):
        return corrections
    schema, statements = policy_schema(), located.value.get("Statement")
    names = list(schema["$defs"]["statement"]["properties"])
    parts: list[tuple[Path, Any, list[str]]] = [((), located.value, list(schema["properties"]))]
    if isinstance(statements, list):
        parts += [(("Statement", index), part, names) for index, part in enumerate(statements)]
    else:
        parts.append((("Statement",), statements, names))
    for path, value, known in parts:
        for edit in _respelled(path, value, known) if isinstance(value, dict) else ():
            renames = edit.kind == "rename"
            place = located.name_place(edit.path) if renames else located.place(edit.path)
            corrections[place] = Correction((edit,), located, path)
    return corrections


def _respelled(path: Path, value: dict[str, Any], known: list[str]) -> Iterator[Edit]:
    """Yield the corrections of the names of the members of *value*, and of its effect."""
    for name in value:
        meant = certain(name, known) if name not in known else None
        if meant and meant not in value:
            yield Edit("rename", (*path, name), meant)
    effect = value.get("Effect") if "Effect" in known else None
    if isinstance(effect, str) and effect.lower() in {"allow", "deny"}:
        meant = effect.lower().capitalize()
        if meant != effect:
            yield Edit("replace", (*path, "Effect"), value=meant)
