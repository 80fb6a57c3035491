"""JSON, YAML and TOML with positions, validated by JSON Schema with readable messages."""

from cml_iam.located._json import Located, Path, Source, Span, parse_json
from cml_iam.located._schema import did_you_mean, located_problems, schema_problems
from cml_iam.located._toml import parse_toml
from cml_iam.located._yaml import parse_yaml
