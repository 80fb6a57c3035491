"""What this process knows for a secret is masked wherever text of any origin is shown."""

from __future__ import annotations

import json
import logging
import secrets
import string
from base64 import b64encode
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import quote

import pytest

from cml_iam import errors
from cml_iam.aws import connect
from cml_iam.aws._session import redact, silence
from cml_iam.credentials import AccessKey
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


class _Echo(BaseHTTPRequestHandler):
    """An endpoint whose error repeats the request, in the form the server was given."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        value = json.loads(json.loads(body)["Value"])["AWS_SECRET_ACCESS_KEY"]
        repeated = {"the request": body, "the secret": value, "a part": value[:30]}
        form = self.server.form  # type: ignore[attr-defined]
        answer = json.dumps({"__type": "ValidationException", "message": repeated[form]}).encode()
        self.send_response(400)
        self.send_header("Content-Type", "application/x-amz-json-1.1")
        self.send_header("Content-Length", str(len(answer)))
        self.send_header("x-amzn-RequestId", "00000000-0000-0000-0000-000000000000")
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.parametrize("form", ["the request", "the secret", "a part"])
def test_an_endpoint_that_repeats_the_secret_does_not_bring_it_into_the_error(form: str) -> None:
    value = new_secret()
    key = AccessKey("AKIAIOSFODNN7EXAMPLE", Secret(value))
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Echo)
    server.form = form  # type: ignore[attr-defined]
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        aws = connect(
            region="us-east-1",
            endpoint_url=f"http://127.0.0.1:{server.server_port}",
            access_key="AKIAIOSFODNN7EXAMPLE",
            secret_key=Secret(new_secret()),
        )
        document = Secret(json.dumps({"AWS_SECRET_ACCESS_KEY": key.secret.reveal()}))
        with pytest.raises(errors.AwsError) as caught:
            aws.call("ssm", "put_parameter", Name="/x", Value=document, Type="SecureString")
    finally:
        server.shutdown()
        server.server_close()

    assert "***" in caught.value.message
    assert value[:16] not in caught.value.message
    assert value[-16:] not in caught.value.message
