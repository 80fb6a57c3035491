"""Policy documents: parsed with positions, compared, measured; ARNs and wildcards."""

from cml_iam.located import (
    Located,
    Path,
    Source,
    Span,
    did_you_mean,
    parse_json,
    schema_problems,
)
from cml_iam.policy._arn import Arn
from cml_iam.policy._canonical import (
    MANAGED_POLICY_CHARACTERS,
    canonical,
    policy_size,
    same_meaning,
)
from cml_iam.policy._document import (
    VERSION_2008,
    VERSION_2012,
    Condition,
    Effect,
    PolicyDocument,
    Principals,
    Statement,
    attachment_problems,
    build_policy,
    grammar_problems,
    load_policy,
    parse_policy,
    policy_schema,
    scalar_text,
)
from cml_iam.policy._other import other_document
from cml_iam.policy._pattern import (
    pattern_covers,
    pattern_matches,
    pattern_regex,
    patterns_overlap,
)
from cml_iam.policy._shape import Conditions, Shape, merged

__all__ = [
    "MANAGED_POLICY_CHARACTERS",
    "VERSION_2008",
    "VERSION_2012",
    "Arn",
    "Condition",
    "Conditions",
    "Effect",
    "Located",
    "Path",
    "PolicyDocument",
    "Principals",
    "Shape",
    "Source",
    "Span",
    "Statement",
    "attachment_problems",
    "build_policy",
    "canonical",
    "did_you_mean",
    "grammar_problems",
    "load_policy",
    "merged",
    "other_document",
    "parse_json",
    "parse_policy",
    "pattern_covers",
    "pattern_matches",
    "pattern_regex",
    "patterns_overlap",
    "policy_schema",
    "policy_size",
    "same_meaning",
    "scalar_text",
    "schema_problems",
]
