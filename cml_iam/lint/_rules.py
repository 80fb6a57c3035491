"""The rules: each a function, its id, and the AWS page behind it.

An id never changes its meaning and is never given to another rule. Its first digit is the kind of
fault: 1 grammar, 2 names and values, 3 without effect, 4 what the manager needs, 5 escalation and
strangers, 6 advice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

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
from cml_iam.lint._finding import Finding, Found, Severity
from cml_iam.lint._subject import Subject

Check = Callable[[Subject], Iterator[Found]]

_IAM: Final = "https://docs.aws.amazon.com/IAM/latest/UserGuide"
_EC2: Final = "https://docs.aws.amazon.com/AWSEC2/latest/UserGuide"
_ORGANIZATIONS: Final = "https://docs.aws.amazon.com/organizations/latest/userguide"
_SERVICES: Final = (
    "https://docs.aws.amazon.com/service-authorization/latest/reference/"
    "reference_policies_actions-resources-contextkeys.html"
)


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule; *check* yields its findings.

    *check* is None for rules about the text itself, or about what other rules leave. A rule that
    *compares* relates each statement to the others, or asks the proof about it; it is not applied
    to more than `COMPARED` statements.
    """

    id: str
    name: str
    severity: Severity
    title: str
    page: str
    check: Check | None = None
    compares: bool = False

    @property
    def label(self) -> str:
        """The id and the name together, as in the names of the cases' folders."""
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


SYNTAX: Final = Rule(
    "CML101",
    "syntax",
    Severity.ERROR,
    "the text is not JSON",
    f"{_IAM}/reference_policies_grammar.html",
)
GRAMMAR: Final = Rule(
    "CML102",
    "grammar",
    Severity.ERROR,
    "the document breaks the grammar of policies",
    f"{_IAM}/reference_policies_grammar.html",
)

TOO_MANY: Final = Rule(
    "CML110",
    "too-many",
    Severity.WARNING,
    "too many statements to compare with one another",
    f"{_IAM}/reference_iam-quotas.html",
)
MATCHES_NOTHING: Final = Rule(
    "CML308",
    "matches-nothing",
    Severity.WARNING,
    "a statement that no request matches, whatever the cause",
    f"{_IAM}/reference_policies_evaluation-logic.html",
    compares=True,
)

RULES: Final = (
    SYNTAX,
    GRAMMAR,
    Rule(
        "CML103",
        "size",
        Severity.ERROR,
        "the document is larger than AWS allows for its kind",
        f"{_IAM}/reference_iam-quotas.html",
        _grammar.size,
    ),
    Rule(
        "CML104",
        "element",
        Severity.ERROR,
        "an element that this kind of policy cannot have, or lacks",
        f"{_IAM}/reference_policies_elements_principal.html",
        _grammar.elements,
    ),
    Rule(
        "CML105",
        "sid",
        Severity.ERROR,
        "a Sid that is used twice, or has characters that IAM does not allow",
        f"{_IAM}/reference_policies_elements_sid.html",
        _grammar.sids,
    ),
    Rule(
        "CML106",
        "variables-version",
        Severity.WARNING,
        "policy variables in a document whose Version treats them as plain text",
        f"{_IAM}/reference_policies_elements_version.html",
        _grammar.variables_version,
    ),
    Rule(
        "CML107",
        "no-version",
        Severity.INFO,
        "a document without a Version",
        f"{_IAM}/reference_policies_elements_version.html",
        _grammar.no_version,
    ),
    Rule(
        "CML108",
        "variable",
        Severity.ERROR,
        "a policy variable that is malformed, or in a place that allows none",
        f"{_IAM}/reference_policies_variables.html",
        _names.variables,
    ),
    Rule(
        "CML109",
        "empty",
        Severity.INFO,
        "an empty Sid or condition",
        f"{_IAM}/reference_policies_grammar.html",
        _grammar.empty,
    ),
    TOO_MANY,
    Rule(
        "CML201",
        "unknown-action",
        Severity.WARNING,
        "a service or action that does not exist, or a wildcard that matches none",
        _SERVICES,
        _names.actions,
    ),
    Rule(
        "CML202",
        "unknown-operator",
        Severity.ERROR,
        "a condition operator that does not exist",
        f"{_IAM}/reference_policies_elements_condition_operators.html",
        _names.operators,
    ),
    Rule(
        "CML203",
        "unknown-key",
        Severity.WARNING,
        "a condition key that does not exist",
        f"{_IAM}/reference_policies_condition-keys.html",
        _names.keys,
    ),
    Rule(
        "CML204",
        "value",
        Severity.ERROR,
        "a value that its operator cannot read, or none at all",
        f"{_IAM}/reference_policies_elements_condition_operators.html",
        _values.values,
    ),
    Rule(
        "CML205",
        "literal-wildcard",
        Severity.WARNING,
        "a wildcard that its operator treats as a plain character",
        f"{_IAM}/reference_policies_elements_condition_operators.html#Conditions_String",
        _values.literal_wildcards,
    ),
    Rule(
        "CML206",
        "arn",
        Severity.ERROR,
        "a resource that is neither an ARN nor `*`",
        f"{_IAM}/reference-arns.html",
        _arns.malformed,
    ),
    Rule(
        "CML207",
        "operator-type",
        Severity.WARNING,
        "an operator that cannot compare values of the key's type",
        f"{_IAM}/reference_policies_condition-single-vs-multi-valued-context-keys.html",
        _values.operator_types,
    ),
    Rule(
        "CML208",
        "unknown-region",
        Severity.WARNING,
        "a region that does not exist",
        "https://docs.aws.amazon.com/global-infrastructure/latest/regions/aws-regions.html",
        _arns.unknown_regions,
    ),
    Rule(
        "CML209",
        "incomplete-arn",
        Severity.WARNING,
        "an ARN without the region or account that its type always has",
        _SERVICES,
        _arns.incomplete,
    ),
    Rule(
        "CML210",
        "mixed-values",
        Severity.WARNING,
        "values of one condition that contradict each other",
        f"{_IAM}/reference_policies_elements_condition.html",
        _values.mixed,
    ),
    Rule(
        "CML211",
        "principal",
        Severity.ERROR,
        "a principal that IAM refuses, or that names nobody",
        f"{_IAM}/reference_policies_elements_principal.html",
        _principals.malformed,
    ),
    Rule(
        "CML212",
        "unknown-service",
        Severity.WARNING,
        "a service principal of a service that does not exist",
        f"{_IAM}/reference_policies_elements_principal.html#principal-services",
        _principals.unknown_services,
    ),
    Rule(
        "CML213",
        "deleted-principal",
        Severity.WARNING,
        "the id of a deleted user or role instead of its name",
        f"{_IAM}/reference_identifiers.html#identifiers-unique-ids",
        _principals.deleted,
    ),
    Rule(
        "CML214",
        "trust-action",
        Severity.ERROR,
        "an action that a trust policy cannot have, that does not fit the principal, or is missing",
        f"{_IAM}/id_roles_update-role-trust-policy.html",
        _principals.unfit_actions,
    ),
    Rule(
        "CML215",
        "control-policy",
        Severity.ERROR,
        "what a resource control policy cannot have",
        f"{_ORGANIZATIONS}/orgs_manage_policies_rcps_syntax.html",
        _control.control,
    ),
    Rule(
        "CML216",
        "id",
        Severity.WARNING,
        "a value that does not have the form of the key's ids",
        f"{_IAM}/reference_policies_condition-keys.html",
        _values.ids,
    ),
    Rule(
        "CML217",
        "hit-by-control",
        Severity.WARNING,
        "a resource control policy that also refuses AWS's services or your own principals",
        f"{_ORGANIZATIONS}/orgs_manage_policies_rcps_syntax.html",
        _control.hit_by_control,
    ),
    Rule(
        "CML301",
        "restricts-nothing",
        Severity.WARNING,
        "an Allow whose restriction a broader Allow undoes",
        f"{_IAM}/reference_policies_evaluation-logic.html",
        _cover.restricts_nothing,
        compares=True,
    ),
    Rule(
        "CML302",
        "key-not-of-action",
        Severity.WARNING,
        "a condition key that requests for the action never have",
        _SERVICES,
        _effect.foreign_keys,
    ),
    Rule(
        "CML303",
        "resource-not-of-action",
        Severity.WARNING,
        "an action that does not apply to the resources, or a resource that no action applies to",
        _SERVICES,
        _effect.foreign_resources,
    ),
    Rule(
        "CML304",
        "needs-any-resource",
        Severity.WARNING,
        "an action that takes no resource, beside specific resources",
        _SERVICES,
        _effect.needs_any,
    ),
    Rule(
        "CML305",
        "redundant",
        Severity.INFO,
        "an Allow that other statements already contain",
        f"{_IAM}/reference_policies_evaluation-logic.html",
        _cover.redundant,
        compares=True,
    ),
    Rule(
        "CML306",
        "contradiction",
        Severity.WARNING,
        "conditions that no request can meet together",
        f"{_IAM}/reference_policies_condition-logic-multiple-context-keys-or-values.html",
        _effect.contradictions,
        compares=True,
    ),
    Rule(
        "CML307",
        "shadowed",
        Severity.WARNING,
        "an Allow that a Deny overrides completely",
        f"{_IAM}/reference_policies_evaluation-logic.html",
        _cover.shadowed,
        compares=True,
    ),
    MATCHES_NOTHING,
    Rule(
        "CML309",
        "private-address",
        Severity.WARNING,
        "a private address under aws:SourceIp, which is a public one",
        f"{_IAM}/reference_policies_condition-keys.html",
        _values.private_addresses,
    ),
    Rule(
        "CML310",
        "tag-of-some",
        Severity.INFO,
        "a condition on tags for every service, although some have no tags",
        _SERVICES,
        _effect.tags_of_some,
    ),
    Rule(
        "CML311",
        "redundant-element",
        Severity.INFO,
        "an action, resource, principal or number that another includes",
        f"{_IAM}/reference_policies_grammar.html",
        _cover.redundant_elements,
        compares=True,
    ),
    Rule(
        "CML312",
        "host-bits",
        Severity.INFO,
        "an address range with host bits set",
        f"{_IAM}/reference_policies_elements_condition_operators.html",
        _values.host_bits,
    ),
    Rule(
        "CML313",
        "only-wildcards",
        Severity.INFO,
        "a condition with `*`, which asks only whether the key is there",
        f"{_IAM}/reference_policies_elements_condition_operators.html#Conditions_Null",
        _keys.only_wildcards,
    ),
    Rule(
        "CML318",
        "own-account",
        Severity.INFO,
        "a condition on the account of the resource, in the policy of that resource",
        f"{_IAM}/reference_policies_condition-keys.html",
        _trust.own_account,
    ),
    Rule(
        "CML319",
        "caller-of-service",
        Severity.WARNING,
        "a condition on the caller's account, for a service, which belongs to no account",
        f"{_IAM}/reference_policies_condition-keys.html",
        _trust.keys_of_nobody,
    ),
    Rule(
        "CML320",
        "key-of-some-services",
        Severity.WARNING,
        "a key about VPC endpoints, for services that do not send it",
        f"{_IAM}/reference_policies_condition-keys.html#condition-keys-vpceaccount",
        _keys.of_some_services,
    ),
    Rule(
        "CML401",
        "cannot-launch",
        Severity.ERROR,
        "RunInstances without a resource type that every launch needs",
        f"{_EC2}/iam-policy-structure.html",
        _launch.cannot_launch,
        compares=True,
    ),
    Rule(
        "CML402",
        "health-locked-out",
        Severity.INFO,
        "a region restriction that also refuses the health check",
        f"{_EC2}/iam-policy-structure.html",
        _launch.health_locked_out,
        compares=True,
    ),
    Rule(
        "CML501",
        "tag-gate-open",
        Severity.ERROR,
        "a tag condition whose tag the caller can set itself",
        f"{_EC2}/control-access-with-tags.html",
        _tags.gate_open,
        compares=True,
    ),
    Rule(
        "CML502",
        "tag-gate-case",
        Severity.ERROR,
        "a tag condition that a tag in another case opens, and the caller can set that one",
        f"{_IAM}/access_tags.html",
        _tags.gate_open_by_case,
        compares=True,
    ),
    Rule(
        "CML503",
        "tag-wipe",
        Severity.WARNING,
        "a tag condition whose tag the caller can remove from what it manages",
        f"{_EC2}/supported-iam-actions-tagging.html",
        _tags.tag_wiped,
        compares=True,
    ),
    Rule(
        "CML504",
        "launch-tag-case",
        Severity.WARNING,
        "a tag demanded at launch that can be spelled in another case",
        f"{_IAM}/access_tags.html",
        _launch.launched_by_case,
        compares=True,
    ),
    Rule(
        "CML505",
        "escalation",
        Severity.WARNING,
        "actions that lead to other permissions, alone or together",
        f"{_IAM}/access_policies_boundaries.html",
        _escalation.escalates,
        compares=True,
    ),
    Rule(
        "CML506",
        "absent-passes",
        Severity.WARNING,
        "ForAllValues in an Allow, which an absent key meets",
        f"{_IAM}/reference_policies_condition-single-vs-multi-valued-context-keys.html",
        _values.absent_passes,
        compares=True,
    ),
    Rule(
        "CML507",
        "unpaired-key",
        Severity.WARNING,
        "a key that restricts little without another beside it",
        f"{_IAM}/reference_policies_condition-keys.html",
        _keys.unpaired,
    ),
    Rule(
        "CML508",
        "text-for-arn",
        Severity.INFO,
        "StringLike with a wildcard on a key that is an ARN",
        f"{_IAM}/reference_policies_elements_condition_operators.html",
        _keys.texts_for_arns,
    ),
    Rule(
        "CML509",
        "open-id",
        Severity.WARNING,
        "a wildcard or policy variable in the place of the id of an account or organization",
        f"{_IAM}/reference_policies_condition-keys.html#condition-keys-sensitive",
        _keys.open_ids,
    ),
    Rule(
        "CML510",
        "made-up-key",
        Severity.WARNING,
        "a condition on an HTTP header, which every caller sets as it likes",
        f"{_IAM}/reference_policies_condition-keys.html#condition-keys-useragent",
        _keys.made_up,
    ),
    Rule(
        "CML511",
        "shorter-prefix",
        Severity.WARNING,
        "a prefix of S3 that is forbidden, which a shorter prefix lists too",
        "https://docs.aws.amazon.com/AmazonS3/latest/userguide/amazon-s3-policy-keys.html",
        _keys.shorter_prefixes,
    ),
    Rule(
        "CML521",
        "anyone",
        Severity.ERROR,
        "a role or resource that every user of every AWS account may use",
        f"{_IAM}/reference_policies_elements_principal.html#principal-anonymous",
        _trust.anyone,
    ),
    Rule(
        "CML522",
        "strange-token",
        Severity.ERROR,
        "an OIDC provider whose tokens for strangers match, too",
        f"{_IAM}/id_roles_providers_oidc_secure-by-default.html",
        _trust.strange_tokens,
    ),
    Rule(
        "CML523",
        "strange-project",
        Severity.WARNING,
        "an OIDC provider whose tokens for any project of the owner match",
        f"{_IAM}/id_roles_create_for-idp_oidc.html",
        _trust.strange_projects,
    ),
    Rule(
        "CML524",
        "no-audience",
        Severity.WARNING,
        "an identity provider without the audience its tokens are for",
        f"{_IAM}/reference_policies_iam-condition-keys.html",
        _trust.unclaimed,
    ),
    Rule(
        "CML525",
        "all-but",
        Severity.ERROR,
        "NotPrincipal with Allow, or in a trust policy",
        f"{_IAM}/reference_policies_elements_notprincipal.html",
        _trust.all_but,
    ),
    Rule(
        "CML526",
        "no-source",
        Severity.WARNING,
        "a service that may act for any account (the confused deputy)",
        f"{_IAM}/confused-deputy.html",
        _trust.sourceless,
    ),
    Rule(
        "CML527",
        "audience-list",
        Severity.INFO,
        "a set operator on the audience of a token",
        f"{_IAM}/id_roles_create_for-idp_oidc.html",
        _keys.audience_lists,
    ),
    Rule(
        "CML601",
        "unrestricted-write",
        Severity.INFO,
        "changes allowed on every resource without a condition",
        f"{_IAM}/best-practices.html",
        _advice.unrestricted_write,
    ),
    Rule(
        "CML602",
        "everything",
        Severity.WARNING,
        "every action allowed, or every action but those listed",
        f"{_IAM}/reference_policies_elements_notaction.html",
        _advice.everything,
    ),
    Rule(
        "CML603",
        "pass-any-role",
        Severity.WARNING,
        "every role may be passed to a service",
        f"{_IAM}/id_roles_use_passrole.html",
        _advice.pass_any_role,
    ),
    Rule(
        "CML604",
        "service-wide",
        Severity.INFO,
        "every action of a service allowed",
        f"{_IAM}/best-practices.html",
        _advice.service_wide,
    ),
    Rule(
        "CML605",
        "any-linked-role",
        Severity.INFO,
        "every service-linked role may be created",
        f"{_IAM}/using-service-linked-roles.html",
        _advice.linked_roles,
    ),
)
