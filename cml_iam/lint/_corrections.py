"""Corrections of findings, as edits of the text; each states what it claims to be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from cml_iam import facts
from cml_iam.engine import OPERATORS
from cml_iam.lint._edits import Claim, Correction, Edit, certain
from cml_iam.policy import VERSION_2012, policy_schema

if TYPE_CHECKING:
    from cml_iam.errors import Place
    from cml_iam.lint._subject import Item
    from cml_iam.policy import Condition, Located

OPERATOR_NAMES: Final = (*(each.name for each in OPERATORS.values()), "Null")
TAG_KEYS: Final = "aws:TagKeys"
GUARD: Final = "ForAllValues:StringNotEqualsIgnoreCase"
WEAK_GUARD: Final = "ForAllValues:StringNotEquals"
SPELLED: Final = "ForAnyValue:StringEquals"


def correction(item: Item, *edits: Edit, claim: Claim = "narrower") -> Correction | None:
    """Return *edits* of *item*'s document as a correction; None if there is no edit or text."""
    located = item.document.located
    if located is None or not edits:
        return None
    return Correction(edits, located, item.document.path(item.statement), claim)


def known_action(item: Item, element: str, index: int, text: str) -> Correction | None:
    """Suggest the action spelled most like *text*.

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
    path = (*item.document.path(item.statement), element, index)
    here = path if path in located.values else path[:-1]
    return correction(item, Edit("replace", here, value=f"{owner.name}:{meant}"), claim="guess")


def known_operator(item: Item, operator: str) -> Correction | None:
    """Correct the spelling of a condition operator."""
    qualifier, colon, base = operator.rpartition(":")
    meant = certain(base, (*OPERATOR_NAMES, *(f"{name}IfExists" for name in OPERATOR_NAMES)))
    asked = certain(qualifier, ("ForAllValues", "ForAnyValue")) if colon else ""
    if meant is None or asked is None or meant == "NullIfExists":
        return None
    # IAM refuses to store an unknown operator, so what the statement allows is missing.
    return other_operator(item, operator, f"{asked}{colon}{meant}", claim="grant")


def other_operator(
    item: Item, operator: str, name: str, *, claim: Claim = "narrower"
) -> Correction | None:
    """Rename a condition operator; None if the statement already has the new one."""
    taken = {condition.operator.lower() for condition in item.statement.conditions}
    if name.lower() in taken and name.lower() != operator.lower():
        return None
    path = (*item.document.path(item.statement), "Condition", operator)
    return correction(item, Edit("rename", path, name), claim=claim)


def known_key(item: Item, condition: Condition) -> Correction | None:
    """Correct the spelling of a condition key."""
    prefix = condition.key.partition(":")[0]
    head, slash, tail = condition.key.partition("/")
    heads = [
        name.partition("/")[0] for name in facts.known_keys(prefix) if ("/" in name) is bool(slash)
    ]
    meant = certain(head, heads)
    return other_key(item, condition, f"{meant}{slash}{tail}") if meant else None


def other_key(
    item: Item, condition: Condition, name: str, *, claim: Claim = "narrower"
) -> Correction | None:
    """Rename a condition key; None if its operator already has the new one."""
    taken = {
        each.key.lower()
        for each in item.statement.conditions
        if each.operator.lower() == condition.operator.lower()
    }
    if name.lower() in taken:
        return None
    return correction(item, Edit("rename", _path_of(item, condition), name), claim=claim)


def with_wildcards(item: Item, condition: Condition, operator: str) -> Correction | None:
    """Use the operator that supports wildcards, if no other key of the operator has any."""
    others = (
        each
        for each in item.statement.conditions
        if each.operator == condition.operator and each.key != condition.key
    )
    if any(char in value for other in others for value in other.values for char in "*?"):
        return None
    return other_operator(item, condition.operator, operator)


def latest_version(item: Item) -> Correction | None:
    """Set the document to the version that supports variables."""
    located = item.document.located
    if located is None:
        return None
    if "Version" in located.value:
        edit = Edit("replace", ("Version",), "Version", VERSION_2012)
    else:
        edit = Edit("begin", (), "Version", VERSION_2012)
    return Correction((edit,), located, claim="grant")


def any_resource(item: Item) -> Correction | None:
    """Replace the resources with `*`, if no action of the statement takes a resource."""
    if item.statement.resource is None or item.statement.action is None:
        return None
    actions = [action for element in item.named for action in element.actions]
    unknown = any(not element.actions for element in item.named)
    if unknown or not all(action.takes_no_resource for action in actions):
        return None
    path = (*item.document.path(item.statement), "Resource")
    return correction(item, Edit("replace", path, value="*"), claim="same")


def further_statement(item: Item, statement: dict[str, Any]) -> Correction | None:
    """Append *statement* to the document of *item*, if its statements are in a list."""
    located = item.document.located
    if located is None or not isinstance(located.value["Statement"], list):
        return None
    return correction(item, Edit("append", ("Statement",), value=statement), claim="grant")


def guarded_tag(item: Item, tag: str) -> Correction | None:
    """Exclude *tag* in every spelling from *item*, which only tags, and require tag keys."""
    names = {each.text.lower() for each in item.named}
    if not item.allows or not names <= {"ec2:createtags", "ec2:deletetags"}:
        return None
    blocks = _blocks(item)
    edits = []
    if "null" not in {block.lower() for block in blocks}:
        edits.append(("Null", "false"))
    path = (*item.document.path(item.statement), "Condition")
    made = _add_conditions(item, edits)
    if WEAK_GUARD in blocks and GUARD not in blocks:
        if _keys_of(item, WEAK_GUARD) != [TAG_KEYS.lower()]:
            return None
        rename = Edit("rename", (*path, WEAK_GUARD), GUARD)
        return correction(item, rename, *made)
    if GUARD in blocks:
        return correction(item, *made)
    return correction(item, *_add_conditions(item, [(GUARD, [tag]), *edits]))


def spelled_tag(item: Item, tag: str) -> Correction | None:
    """Add to *item*, an Allow, the condition that the tag's key is spelled *tag*."""
    if not item.allows or SPELLED in _blocks(item):
        return None
    return correction(item, *_add_conditions(item, [(SPELLED, [tag])]))


def _add_conditions(item: Item, wanted: list[tuple[str, Any]]) -> tuple[Edit, ...]:
    """Return the edits that add operators on aws:TagKeys to the conditions of *item*."""
    here = item.document.path(item.statement)
    blocks = {operator: {TAG_KEYS: value} for operator, value in wanted}
    if not blocks:
        return ()
    if "Condition" not in item.raw:
        return (Edit("add", here, "Condition", blocks),)
    return tuple(Edit("add", (*here, "Condition"), name, block) for name, block in blocks.items())


def _blocks(item: Item) -> list[str]:
    """Return the operators of the statement as written in the text."""
    return list(item.raw.get("Condition", {}))


def _keys_of(item: Item, operator: str) -> list[str]:
    return [key.lower() for key in item.raw["Condition"][operator]]


def _path_of(item: Item, condition: Condition) -> tuple[str | int, ...]:
    path = item.document.path(item.statement)
    return (*path, "Condition", condition.operator, condition.key)


def grammar_corrections(located: Located) -> dict[Place, Correction]:
    """Return corrections for misspelt element names and effects, by place."""
    schema = policy_schema()
    found: dict[Place, Correction] = {}
    if not isinstance(located.value, dict):
        return found
    _names_in(located, (), list(schema["properties"]), found)
    statements = located.value.get("Statement")
    single = isinstance(statements, dict)
    if not isinstance(statements, list):
        statements = [statements]
    for index, each in enumerate(statements):
        path = ("Statement",) if single else ("Statement", index)
        if isinstance(each, dict):
            _names_in(located, path, list(schema["$defs"]["statement"]["properties"]), found)
            _effect_in(located, path, each.get("Effect"), found)
    return found


def _names_in(
    located: Located,
    path: tuple[str | int, ...],
    known: list[str],
    found: dict[Place, Correction],
) -> None:
    value: Any = located.value
    for part in path:
        value = value[part]
    for name in value:
        meant = certain(name, known) if name not in known else None
        if meant and meant not in value:
            here = (*path, name)
            edits = (Edit("rename", here, meant),)
            found[located.name_place(here)] = Correction(edits, located, path)


def _effect_in(
    located: Located,
    path: tuple[str | int, ...],
    effect: Any,
    found: dict[Place, Correction],
) -> None:
    if not isinstance(effect, str) or effect in {"Allow", "Deny"}:
        return
    meant = {"allow": "Allow", "deny": "Deny"}.get(effect.lower())
    if meant:
        here = (*path, "Effect")
        edits = (Edit("replace", here, value=meant),)
        found[located.place(here)] = Correction(edits, located, path)
