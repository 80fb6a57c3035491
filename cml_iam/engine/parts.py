"""The parts of the engine for reasoning about policies; decisions need none of them."""

from cml_iam.engine._comparison import NANOSECONDS, Scope, address, moment, network, number
from cml_iam.engine._compile import ActionPattern, CompiledStatement
from cml_iam.engine._conditions import compile_condition, unknown_operator
from cml_iam.engine._order import ALWAYS_ALLOWED, applies
from cml_iam.engine._request import Caller, Keys, Naming, names_principals, naming
from cml_iam.engine._resource import (
    Fields,
    ResourcePattern,
    field_test,
    is_arn,
    resource_pattern,
    split_fields,
)
from cml_iam.engine._text import (
    MalformedVariableError,
    Token,
    Variable,
    Wildcard,
    has_variable,
    resolved,
    tokens,
    variable_keys,
)
from cml_iam.policy import FIELDS
