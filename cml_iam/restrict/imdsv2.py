"""A launch must require IMDSv2."""

from cml_iam.restrict._options import flag
from cml_iam.restrict._row import Case, KeyTest, Restriction, Rule

IMDSV2 = Restriction(
    name="imdsv2",
    options=(
        flag("imdsv2", "A launch must require IMDSv2 (MetadataOptions.HttpTokens=required)."),
    ),
    title="every launched instance requires a token to read its metadata (IMDSv2)",
    rules=lambda _: (
        Rule("DenyLaunchWithoutImdsv2", (KeyTest("ec2:MetadataHttpTokens", "required"),)),
    ),
    usual=lambda *_: {"metadata_tokens": "required"},
    cases=lambda _: (
        Case("without IMDSv2", {"metadata_tokens": "optional"}),
        Case("without a setting for IMDSv2", {"metadata_tokens": ""}),
    ),
)
