"""The rules: each a row of `rules.json` and a function.

An id never changes its meaning and is never given to another rule. Its first digit is the kind of
fault: 1 grammar, 2 names and values, 3 without effect, 4 what the manager needs, 5 escalation and
strangers, 6 advice.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal

from cml_iam.lint import (
    _advice,
    _arns,
    _control,
    _cover,
    _effect,
    _escalation,
    _grammar,
    _keys,
    _launch,
    _names,
    _principals,
    _tags,
    _trust,
    _values,
)
from cml_iam.lint._finding import KINDS, Finding, Found, Kind, Severity
from cml_iam.lint._subject import Subject

Check = Callable[[Subject], Iterator[Found]]

_CHECKS: Final[Mapping[str, Check]] = {
    "CML103": _grammar.size,
    "CML104": _grammar.elements,
    "CML105": _grammar.sids,
    "CML106": _grammar.variables_version,
    "CML107": _grammar.no_version,
    "CML108": _names.variables,
    "CML109": _grammar.empty,
    "CML201": _names.actions,
    "CML202": _names.operators,
    "CML203": _names.keys,
    "CML204": _values.values,
    "CML205": _values.literal_wildcards,
    "CML206": _arns.malformed,
    "CML207": _values.operator_types,
    "CML208": _arns.unknown_regions,
    "CML209": _arns.incomplete,
    "CML210": _values.mixed,
    "CML211": _principals.malformed,
    "CML212": _principals.unknown_services,
    "CML213": _principals.deleted,
    "CML214": _principals.unfit_actions,
    "CML215": _control.control,
    "CML216": _values.ids,
    "CML217": _control.hit_by_control,
    "CML301": _cover.restricts_nothing,
    "CML302": _effect.foreign_keys,
    "CML303": _effect.foreign_resources,
    "CML304": _effect.needs_any,
    "CML305": _cover.redundant,
    "CML306": _effect.contradictions,
    "CML307": _cover.shadowed,
    "CML309": _values.private_addresses,
    "CML310": _effect.tags_of_some,
    "CML311": _cover.redundant_elements,
    "CML312": _values.host_bits,
    "CML313": _keys.only_wildcards,
    "CML318": _trust.own_account,
    "CML319": _trust.keys_of_nobody,
    "CML320": _keys.of_some_services,
    "CML321": _trust.keys_of_others,
    "CML401": _launch.cannot_launch,
    "CML402": _launch.health_locked_out,
    "CML501": _tags.gate_open,
    "CML502": _tags.gate_open_by_case,
    "CML503": _tags.tag_wiped,
    "CML504": _launch.launched_by_case,
    "CML505": _escalation.escalates,
    "CML506": _values.absent_passes,
    "CML507": _keys.unpaired,
    "CML508": _keys.texts_for_arns,
    "CML509": _keys.open_ids,
    "CML510": _keys.made_up,
    "CML511": _keys.shorter_prefixes,
    "CML521": _trust.anyone,
    "CML522": _trust.strange_tokens,
    "CML523": _trust.strange_projects,
    "CML524": _trust.unclaimed,
    "CML525": _trust.all_but,
    "CML526": _trust.sourceless,
    "CML527": _keys.audience_lists,
    "CML528": _trust.guests,
    "CML601": _advice.unrestricted_write,
    "CML602": _advice.everything,
    "CML603": _advice.pass_any_role,
    "CML604": _advice.service_wide,
    "CML605": _advice.linked_roles,
}
"""The function that yields the findings of each rule.

`_lint` applies the rules about the text itself, and those for what the other rules do not report.
"""


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule; *check* yields its findings.

    *check* is None for rules about the text itself, or for what other rules do not report. A rule
    that *compares* relates each statement to the others, or needs a proof about it; it is not
    applied to more than `COMPARED` statements. It applies to documents of its *kinds*.

    Rules with the same *cause* report the same problem in different words: that one statement
    allows too much (`statement`), or that one condition does not do what it seems to (`place`).
    """

    id: str
    name: str
    severity: Severity
    title: str
    page: str
    description: str
    check: Check | None = None
    compares: bool = False
    kinds: tuple[Kind, ...] = KINDS
    cause: Literal["statement", "place"] | None = None

    def as_json(self) -> dict[str, Any]:
        """Return what the rule is about as JSON values."""
        return {
            "id": self.id,
            "name": self.name,
            "severity": self.severity.word,
            "title": self.title,
            "page": self.page,
        }

    @property
    def label(self) -> str:
        """The id and the name together, as in the folder names of the test cases."""
        return f"{self.id}-{self.name}"

    def finding(self, found: Found) -> Finding:
        """Return the finding of the rule's function, completed with the rule's properties."""
        return Finding(
            self.id,
            self.name,
            self.severity,
            found.message,
            found.place,
            self.page,
            found.remedy,
            found.statement,
            found.witness,
            found.correction,
        )


@cache
def lint_rules() -> tuple[Rule, ...]:
    """Return the rules of `rules.json`, in its order, each with its function."""
    rows = json.loads((Path(__file__).parent / "rules.json").read_text("utf-8"))
    return tuple(
        Rule(
            name,
            row["name"],
            Severity[row["severity"].upper()],
            row["title"],
            row["page"],
            row["description"],
            _CHECKS.get(name),
            row.get("compares", False),
            tuple(row.get("kinds", KINDS)),
            row.get("cause"),
        )
        for name, row in rows.items()
    )


def rule_named(name: str) -> Rule:
    """Return the rule with the id *name*, which must exist."""
    return next(rule for rule in lint_rules() if rule.id == name)
