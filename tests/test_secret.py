"""What this process knows for a secret is masked wherever text of any origin is shown."""

from __future__ import annotations

import json
import logging
import secrets
import string
from base64 import b64encode
from urllib.parse import quote

import pytest

from cml_iam.aws._secrets import redact, silence
from cml_iam.secret import Secret, masked, remember
from cml_iam.visible import one_line, visible


def new_secret() -> str:
    letters = string.ascii_letters + string.digits + "+/"
    return "ab/+" + "".join(secrets.choice(letters) for _ in range(36))


FORMS = {
    "as it is": lambda value: value,
    "in JSON": lambda value: json.dumps({"AWS_SECRET_ACCESS_KEY": value}),
    "in JSON in JSON": lambda value: json.dumps(json.dumps({"K": value})),
    "with slashes escaped": lambda value: value.replace("/", "\\/"),
    "in a URL": lambda value: quote(value, ""),
    "as Python shows it": repr,
    "its first 30 characters": lambda value: value[:30],
    "its last 20 characters": lambda value: value[-20:],
    "in base64": lambda value: b64encode(value.encode()).decode(),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_secret_is_masked_in_every_form(form: str) -> None:
    value = new_secret()
    shown = FORMS[form](value)
    text = f"PutParameter failed: bad value: {shown}, and nothing else"
    assert text in (masked(text), text)  # nobody knows it for a secret yet

    Secret(value)

    for mask in (masked, visible, one_line, lambda said: redact(said, [])):
        said = mask(text)
        assert shown not in said
        assert not [at for at in range(len(value) - 15) if value[at : at + 16] in said]
        assert said.startswith("PutParameter failed: bad value: ")
        assert said.endswith(", and nothing else")


def test_text_around_a_secret_stays_and_two_secrets_are_masked() -> None:
    first, second = new_secret(), new_secret()
    remember(first)
    remember(second)

    assert masked(f"a {first} b {second} c") == "a *** b *** c"
    assert masked("a key id such as AKIAIOSFODNN7EXAMPLE stays") == (
        "a key id such as AKIAIOSFODNN7EXAMPLE stays"
    )


def test_a_document_is_masked_whole_and_its_words_are_no_secret() -> None:
    document = json.dumps({"AWS_SECRET_ACCESS_KEY": "short", "A": "other words"})
    Secret(document)

    assert masked(f"bad value: {document}") == "bad value: ***"
    assert masked("set AWS_SECRET_ACCESS_KEY") == "set AWS_SECRET_ACCESS_KEY"


@pytest.mark.parametrize("value", ["", "short", "x" * 128, "{}"])
def test_what_can_be_no_secret_masks_nothing(value: str) -> None:
    Secret(value)

    assert masked(f"before {value} after") == f"before {value} after"


def test_a_log_line_of_botocore_is_masked(caplog: pytest.LogCaptureFixture) -> None:
    value = new_secret()
    Secret(value)
    logger = logging.getLogger("botocore.credentials")
    silence()

    logger.warning("refused: %s", value)

    assert value not in caplog.text
    assert "refused: ***" in caplog.text
