"""What makes large answers cheap to read: fewer members, and times without guessing.

Parsing bounds how fast workers are listed: a page of 1,000 instances costs botocore half a second,
most of it for members that nothing here reads and for finding out how times are written.
"""

from __future__ import annotations

from datetime import UTC, datetime
from threading import Lock
from typing import Any, Final

from cml_iam.aws._answer import described, is_of_aws

UNREAD: Final = frozenset(
    {
        "CapacityReservationSpecification",
        "EnclaveOptions",
        "MaintenanceOptions",
        "NetworkInterfaces",
        "NetworkPerformanceOptions",
        "PrivateDnsNameOptions",
        "ProductCodes",
        "UsageOperation",
        "UsageOperationUpdateTime",
    }
)
"""What is left out of an instance that DescribeInstances describes; of a volume, all but its id."""

LARGE: Final = 100_000
"""Bytes from which on answers are read one after the other.

Reading is all the interpreter's own work, so threads would only take turns, each holding a tree.
"""


def reader() -> Any:
    """Return what makes botocore's parsers, to be registered as `response_parser_factory`.

    They raise botocore's ResponseParserError for whatever is not an answer of AWS.
    """
    from botocore.parsers import ResponseParserError, ResponseParserFactory

    lock = Lock()

    class Reader(ResponseParserFactory):  # type: ignore[misc]  # botocore comes without types
        def create_parser(self, protocol_name: str) -> Any:
            parser = super().create_parser(protocol_name)
            parse = parser.parse

            def checked(response: dict[str, Any], shape: Any) -> Any:
                try:
                    parsed = parse(response, shape)
                except Exception:  # noqa: BLE001 - what parsers of a dozen formats raise has no end
                    parsed = None
                if parsed is None or not is_of_aws(protocol_name, response, shape, parsed):
                    raise ResponseParserError(described(response))
                return parsed

            def in_turn(response: dict[str, Any], shape: Any) -> Any:
                body = response["body"]
                if not isinstance(body, bytes) or len(body) < LARGE:
                    return checked(response, shape)
                with lock:
                    return checked(response, shape)

            vars(parser)["parse"] = in_turn
            return parser

    made = Reader()
    made.set_parser_defaults(timestamp_parser=read_time)
    return made


def leave_unread(client: Any) -> None:
    """Have *client*, of EC2, leave what is `UNREAD` out of the instances it describes.

    The shapes are the client's own, so no other client of the process is affected.
    """
    answer = client.meta.service_model.operation_model("DescribeInstances").output_shape
    reservation = answer.members["Reservations"].member
    members = reservation.members["Instances"].member.members
    for name in UNREAD & members.keys():
        del members[name]
    volume = members["BlockDeviceMappings"].member.members["Ebs"].members
    for name in volume.keys() - {"VolumeId"}:
        del volume[name]


def read_time(value: Any) -> datetime:
    """Return the time AWS wrote as *value*, as botocore would, which tries every way of writing."""
    if isinstance(value, int | float):
        try:
            return datetime.fromtimestamp(value, UTC)
        except (OverflowError, OSError, ValueError):
            pass  # botocore's own way reaches further
    elif isinstance(value, str):
        try:
            at = datetime.fromisoformat(value)
        except ValueError:
            pass
        else:
            if at.tzinfo is not None:
                return at
    from botocore.utils import parse_timestamp

    parsed: datetime = parse_timestamp(value)
    return parsed
