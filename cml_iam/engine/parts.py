"""What deciding is made of, for those who reason about policies; to decide, none is needed."""

from cml_iam.engine._action import ActionPattern
from cml_iam.engine._arn import FIELDS, Fields, arn_patterns, is_arn, split_fields
from cml_iam.engine._comparison import Scope
from cml_iam.engine._compile import CompiledStatement
from cml_iam.engine._conditions import compile_condition, unknown_operator
from cml_iam.engine._dates import NANOSECONDS, moment
from cml_iam.engine._ip import address, network
from cml_iam.engine._keys import Keys
from cml_iam.engine._numbers import number
from cml_iam.engine._principal import Caller, Naming, names_principals, naming
from cml_iam.engine._resource import ResourcePattern
from cml_iam.engine._text import has_variable
from cml_iam.engine._variables import (
    MalformedVariableError,
    Token,
    Variable,
    Wildcard,
    resolved,
    tokens,
)

__all__ = [
    "FIELDS",
    "NANOSECONDS",
    "ActionPattern",
    "Caller",
    "CompiledStatement",
    "Fields",
    "Keys",
    "MalformedVariableError",
    "Naming",
    "ResourcePattern",
    "Scope",
    "Token",
    "Variable",
    "Wildcard",
    "address",
    "arn_patterns",
    "compile_condition",
    "has_variable",
    "is_arn",
    "moment",
    "names_principals",
    "naming",
    "network",
    "number",
    "resolved",
    "split_fields",
    "tokens",
    "unknown_operator",
]
