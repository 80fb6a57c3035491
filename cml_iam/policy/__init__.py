"""Parse policy documents with positions, compare and measure them; ARNs and wildcards."""

from cml_iam.located import Located, Path, did_you_mean, parse_json
from cml_iam.policy._canonical import (
    MANAGED_POLICY_CHARACTERS,
    canonical,
    difference,
    document_lines,
    policy_size,
    same_meaning,
)
from cml_iam.policy._document import (
    VERSION_2012,
    Condition,
    Conditions,
    PolicyDocument,
    Principals,
    Shape,
    Statement,
    attachment_problems,
    build_policy,
    grammar_problems,
    is_statement,
    load_policy,
    merged,
    other_document,
    parse_policy,
    policy_schema,
    scalar_text,
)
from cml_iam.policy._pattern import (
    FIELDS,
    Arn,
    linear,
    pattern_covers,
    pattern_matches,
    pattern_regex,
    patterns_overlap,
)
