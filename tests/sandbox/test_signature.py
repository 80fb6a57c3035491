"""Signature Version 4 is verified as AWS's own examples compute it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import pytest
from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import example, given
from hypothesis import strategies as st

from cml_iam.sandbox._principals import read_claim, verify
from cml_iam.sandbox._wire import Message, Unauthenticated
from cml_iam.secret import Secret

KEY = "AKIAIOSFODNN7EXAMPLE"
SECRET = Secret("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
THEN = datetime(2013, 5, 24, tzinfo=UTC)
HOST = "examplebucket.s3.amazonaws.com"

# https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
BY_HEADER = Message(
    "GET",
    "/test.txt",
    {
        "host": HOST,
        "range": "bytes=0-9",
        "x-amz-content-sha256": EMPTY,
        "x-amz-date": "20130524T000000Z",
        "authorization": (
            f"AWS4-HMAC-SHA256 Credential={KEY}/20130524/us-east-1/s3/aws4_request,"
            "SignedHeaders=host;range;x-amz-content-sha256;x-amz-date,"
            "Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
        ),
    },
    b"",
)
# https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
BY_QUERY = Message(
    "GET",
    "/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256"
    f"&X-Amz-Credential={KEY}%2F20130524%2Fus-east-1%2Fs3%2Faws4_request"
    "&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host"
    "&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404",
    {"host": HOST},
    b"",
)


@pytest.mark.parametrize("message", [BY_HEADER, BY_QUERY], ids=["header", "query"])
def test_the_published_examples_are_accepted(message: Message) -> None:
    verify(message, read_claim(message), SECRET, THEN)


@pytest.mark.parametrize("message", [BY_HEADER, BY_QUERY], ids=["header", "query"])
def test_another_secret_is_refused(message: Message) -> None:
    with pytest.raises(Unauthenticated) as caught:
        verify(message, read_claim(message), Secret("another"), THEN)

    assert caught.value.reason == "signature"


@pytest.mark.parametrize(
    ("message", "shift", "reason"),
    [
        (BY_HEADER, timedelta(minutes=16), "late"),
        (BY_HEADER, timedelta(minutes=-16), "early"),
        (BY_QUERY, timedelta(hours=23), None),
        (BY_QUERY, timedelta(hours=25), "late"),
        (BY_QUERY, timedelta(minutes=-16), "early"),
    ],
)
def test_a_signature_is_good_for_its_time_only(
    message: Message, shift: timedelta, reason: str | None
) -> None:
    claim = read_claim(message)
    if reason is None:
        verify(message, claim, SECRET, THEN + shift)
        return
    with pytest.raises(Unauthenticated) as caught:
        verify(message, claim, SECRET, THEN + shift)

    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("headers", "target"),
    [
        ({}, "/"),
        ({"authorization": "AWS4-HMAC-SHA256 nonsense"}, "/"),
        ({"authorization": f"AWS {KEY}:c2lnbmVk"}, "/"),
        (
            {**BY_HEADER.headers, "authorization": BY_HEADER.headers["authorization"] + ",x=y"},
            "/",
        ),
        (dict(BY_HEADER.headers), BY_QUERY.target),
        ({"host": HOST}, BY_QUERY.target.replace("86400", "700000")),
        ({"host": HOST}, BY_QUERY.target + "&X-Amz-Expires=1"),
        ({"host": HOST}, BY_QUERY.target.replace("20130524%2F", "20130525%2F", 1)),
    ],
)
def test_an_incomplete_or_twofold_signature_is_no_claim(
    headers: dict[str, str], target: str
) -> None:
    with pytest.raises(Unauthenticated):
        read_claim(Message("GET", target, headers, b""))


@pytest.mark.parametrize("dropped", ["host", "x-amz-date"])
def test_a_header_that_steers_has_to_be_signed(dropped: str) -> None:
    names = [each for each in ("host", "x-amz-date") if each != dropped]
    headers = {
        "host": HOST,
        "x-amz-date": "20130524T000000Z",
        "authorization": (
            f"AWS4-HMAC-SHA256 Credential={KEY}/20130524/us-east-1/iam/aws4_request, "
            f"SignedHeaders={';'.join(names)}, Signature={'0' * 64}"
        ),
    }
    message = Message("GET", "/", headers, b"")
    with pytest.raises(Unauthenticated) as caught:
        verify(message, read_claim(message), SECRET, THEN)

    assert caught.value.reason == "incomplete"


@given(
    query=st.dictionaries(st.text(min_size=1, max_size=8), st.text(max_size=12), max_size=4),
    body=st.binary(max_size=40),
    path=st.text("abcXYZ0189-._~/", max_size=12),
)
@example(query={}, body=b"", path="./")
@example(query={}, body=b"", path="a/../b/")
def test_what_botocore_signs_is_verified(query: dict[str, str], body: bytes, path: str) -> None:
    pairs = "&".join(f"{quote(k, safe='')}={quote(v, safe='')}" for k, v in query.items())
    target = f"/{path.replace('//', '/').lstrip('/')}" + (f"?{pairs}" if pairs else "")
    for signer, content in ((SigV4Auth, body), (SigV4QueryAuth, b"")):
        request = AWSRequest("POST", f"http://localhost:1{target}", data=content)
        signer(Credentials(KEY, SECRET.reveal()), "ec2", "us-east-1").add_auth(request)
        prepared = request.prepare()
        headers = {name.lower(): value for name, value in prepared.headers.items()}
        sent = prepared.url.removeprefix("http://localhost:1")
        message = Message("POST", sent, {"host": "localhost:1", **headers}, content)
        verify(message, read_claim(message), SECRET, datetime.now(UTC))
