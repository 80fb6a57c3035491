"""Every volume of a launch is encrypted."""

from cml_iam.restrict._options import flag
from cml_iam.restrict._row import Case, KeyTest, Restriction, Rule

_ENCRYPTED = KeyTest("ec2:Encrypted", "true", "Bool", denied_by="StringNotEquals")

ENCRYPTED_VOLUMES = Restriction(
    name="encrypted_volumes",
    options=(flag("encrypted_volumes", "Every volume that a launch creates must be encrypted."),),
    title="no unencrypted volume is created at launch",
    rules=lambda _: (
        Rule("DenyPlainVolumes", (_ENCRYPTED,), type="volume", allow="LaunchEncryptedVolume"),
    ),
    usual=lambda *_: {"encrypted": True},
    cases=lambda _: (Case("with an unencrypted disk", {"encrypted": False}, type="volume"),),
)
