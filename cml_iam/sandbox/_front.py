"""The HTTP server, which authenticates, parses, completes, authorizes and then executes calls."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, Final

from cml_iam.errors import InputError
from cml_iam.sandbox._answers import OWN, as_cbor, fault_answer, result_answer, unauthenticated
from cml_iam.sandbox._call import MOST_BYTES, protocol_of, read_call
from cml_iam.sandbox._ec2 import perform_ec2
from cml_iam.sandbox._ec2_authorizations import settle
from cml_iam.sandbox._guard import authorize, check_trail
from cml_iam.sandbox._iam import check_iam, complete_iam, perform_iam
from cml_iam.sandbox._metrics import check_cloudwatch
from cml_iam.sandbox._moto import failure
from cml_iam.sandbox._principals import authenticate, read_claim
from cml_iam.sandbox._reports import note_use
from cml_iam.sandbox._strict import check_ec2
from cml_iam.sandbox._sts import answer_unsigned, read_unsigned
from cml_iam.sandbox._transitions import arrive
from cml_iam.sandbox._wire import (
    Answer,
    Call,
    Edit,
    Fault,
    Message,
    Unauthenticated,
    backends_of,
    prefix_of,
)
from cml_iam.sandbox._world import Principal, World

LOOPBACK: Final = "127.0.0.1"


class Server(ThreadingHTTPServer):
    """Answers requests to *world* on the loopback interface; port 0 picks a free port."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, world: World, port: int = 0) -> None:
        self.world = world
        try:
            super().__init__((LOOPBACK, port), _Handler)
        except (OSError, OverflowError) as error:
            raise InputError(
                f"cannot listen on `{LOOPBACK}:{port}`: {error}",
                remedy="choose another port, or 0 for any free port",
            ) from error
        self._thread = Thread(target=self.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def respond(self, message: Message) -> Answer:
        return respond(self.world, message)

    def stop(self) -> None:
        self.shutdown()
        self.server_close()
        self._thread.join()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore clients that close a connection early."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 60.0
    """How long a connection may be silent, in seconds."""

    wbufsize = -1
    disable_nagle_algorithm = True
    server: Server

    def _handle(self) -> None:
        answer = self._answer()
        if answer.seconds:
            time.sleep(answer.seconds)
        if answer.lost:
            self.close_connection = True
            return
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.content_type)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if "content-length" not in answer.headers:
            self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    def _answer(self) -> Answer:
        length = self.headers.get("Content-Length", "0")
        if "Transfer-Encoding" in self.headers or not re.fullmatch("[0-9]{1,12}", length):
            self.close_connection = True
            return Answer(411, b"a request needs its Content-Length", "text/plain")
        if int(length) > MOST_BYTES:
            self.close_connection = True
            return Answer(413, b"the request is too large", "text/plain")
        body = self.rfile.read(int(length))
        headers: dict[str, str] = {}
        for name, value in self.headers.items():
            key = name.lower()
            headers[key] = f"{headers[key]},{value}" if key in headers else value
        message = Message(self.command, self.path, headers, body, self.client_address[0])
        return self.server.respond(message)

    def date_time_string(self, timestamp: float | None = None) -> str:
        """Return the sandbox's time, not this machine's, for the Date header."""
        now = self.server.world.now().timestamp()
        return super().date_time_string(int(now if timestamp is None else timestamp))

    def version_string(self) -> str:
        return "cml-iam-sandbox"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server's name
        """Write nothing: the responses contain everything of interest."""

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = do_PATCH = do_OPTIONS = _handle  # noqa: N815


_REQUEST_ID: Final = re.compile(rb"(<[rR]equest(?:Id|ID)>)[^<]*(?=</)")


def respond(world: World, message: Message) -> Answer:
    """Answer *message* as AWS would, with a new request id."""
    try:
        with world.lock:
            answer = _respond(world, message)
    except Exception as error:  # noqa: BLE001 - nothing handles exceptions of a server thread
        answer = _failed(message, error)
    request_id = str(uuid.uuid4())
    body = _REQUEST_ID.sub(lambda match: match[1] + request_id.encode(), answer.body, count=1)
    return replace(answer, body=body, headers={**answer.headers, "x-amzn-RequestId": request_id})


def _failed(message: Message, error: Exception) -> Answer:
    """Return the answer for *error* in the form of the service that *message* is meant for."""
    try:
        scope = read_claim(message).service
    except Unauthenticated:
        scope = "sts"
    service = prefix_of(scope)
    if isinstance(error, Unauthenticated):
        fault = unauthenticated(error, service)
    else:
        fault = failure(error)
    return fault_answer(fault, protocol_of(message, scope), service)


def _respond(world: World, message: Message) -> Answer:
    try:
        claim = read_claim(message)
    except Unauthenticated:
        unsigned = read_unsigned(world, message)
        if unsigned is None:
            raise
        return _answer(world, unsigned, lambda: answer_unsigned(world, unsigned))
    principal = authenticate(world, message, claim)
    if not backends_of(claim.service):
        raise Fault("UnknownOperationException", f"The sandbox has no service {claim.service}.")
    if claim.region not in world.regions:
        raise Unauthenticated("region")
    call = read_call(message, claim.service, claim.region)
    return _answer(world, call, lambda: _done(world, principal, call))


def _answer(world: World, call: Call, do: Callable[[], Answer]) -> Answer:
    """Let *do* answer the parsed call, unless the sandbox's conditions make it fail."""
    arrive(world)
    if world.throttle is not None:
        world.throttle.take(call, world.now())
    refusals = world.refusals.of(call.action)
    try:
        for refusal in refusals:
            if refusal.code:
                raise Fault(refusal.code, refusal.message, refusal.status)
        answer = do()
    except Fault as fault:
        answer = fault_answer(fault, call.protocol, call.service)
    seconds = sum(refusal.seconds for refusal in refusals)
    return replace(answer, lost=any(refusal.lost for refusal in refusals), seconds=seconds)


def _done(world: World, principal: Principal, call: Call) -> Answer:
    """Complete the parsed call, authorize it, and execute it."""
    match call.service:
        case "ec2":
            check_ec2(call)
            call = settle(world, call) if call.operation == "RunInstances" else call
        case "iam":
            call = complete_iam(principal, call)
            check_iam(world, call)
        case "cloudwatch":
            check_cloudwatch(call)
    note_use(world, principal, call)
    authorize(world, principal, call)
    if call.service == "ec2" and call.params.get("DryRun"):
        raise Fault("DryRunOperation", "Request would have succeeded, but DryRun flag is set.")
    execute = partial(_execute, world, principal)
    match call.action:
        case "cloudtrail:CreateTrail" | "cloudtrail:UpdateTrail":
            check_trail(world, call)
        case "secretsmanager:GetSecretValue":
            if not {"VersionId", "VersionStage"} & set(call.params):
                # Moto would return the first version, even if the label was moved to another.
                call = call.with_params(VersionStage="AWSCURRENT")
    perform = {"ec2": perform_ec2, "iam": perform_iam}.get(call.service)
    return perform(world, call, execute) if perform else execute(call)


def _execute(world: World, principal: Principal, call: Call, edit: Edit | None = None) -> Answer:
    """Execute *call* with our implementation if there is one, otherwise with moto."""
    own = OWN.get(call.action)
    values = own(world, principal, call) if own else None
    if values is not None:
        answer = result_answer(call, edit(values) if edit else values)
    else:
        if call.service in ("iam", "sts"):
            call = replace(call, region=world.region)
        answer = world.moto.execute(call, principal.access_key_id, edit)
    return as_cbor(call, answer) if call.protocol == "cbor" else answer
