"""What IAM tells of an account: all of it at once, and the credential report.

https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetAccountAuthorizationDetails.html
https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_getting-report.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from cml_iam.sandbox._answers import result_answer
from cml_iam.sandbox._faults import Fault
from cml_iam.sandbox._pages import IAM_PAGE, keep_place, place_of
from cml_iam.sandbox._principals import is_aws

if TYPE_CHECKING:
    from datetime import datetime

    from cml_iam.sandbox._call import Call
    from cml_iam.sandbox._principals import Principal
    from cml_iam.sandbox._wire import Answer
    from cml_iam.sandbox._world import World

_REPORT: Final = (
    "user,arn,user_creation_time,password_enabled,password_last_used,password_last_changed,"
    "password_next_rotation,mfa_active,access_key_1_active,access_key_1_last_rotated,"
    "access_key_1_last_used_date,access_key_1_last_used_region,access_key_1_last_used_service,"
    "access_key_2_active,access_key_2_last_rotated,access_key_2_last_used_date,"
    "access_key_2_last_used_region,access_key_2_last_used_service,cert_1_active,"
    "cert_1_last_rotated,cert_2_active,cert_2_last_rotated"
)


def account_details(world: World, _: Principal, call: Call) -> Answer:
    """Answer GetAccountAuthorizationDetails, a page of everything after the other."""
    policies = world.entities("policy")
    kinds = {
        "User": ("UserDetailList", world.entities("user")),
        "Group": ("GroupDetailList", world.entities("group")),
        "Role": ("RoleDetailList", world.entities("role")),
        "LocalManagedPolicy": ("Policies", [each for each in policies if not is_aws(each)]),
        "AWSManagedPolicy": ("Policies", [each for each in policies if is_aws(each)]),
    }
    asked = call.params.get("Filter") or kinds
    everything = [(key, each) for kind in asked for key, held in [kinds[kind]] for each in held]
    start, size = place_of(world, call, "ValidationError"), call.params.get("MaxItems", IAM_PAGE)
    result: dict[str, Any] = {key: [] for key, _ in kinds.values()}
    for key, each in everything[start : start + size]:
        if key == "Policies":
            # What moto calls otherwise than its serializer looks for it.
            each.policy_name, each.policy_id = each.name, each.id
        result[key].append(each)
    result["IsTruncated"] = len(everything) > start + size
    if result["IsTruncated"]:
        result["Marker"] = keep_place(world, call, start + size)
    return result_answer(call, result)


def credential_report(world: World, _: Principal, call: Call) -> Answer:
    """Answer GetCredentialReport: the root and every user, and when their keys were used."""
    if not world.iam.report_generated():
        said = "No report exists. Call GenerateCredentialReport first."
        raise Fault("ReportNotPresent", said, 410)
    started = _time(world.started)
    root = f"arn:{world.partition}:iam::{world.account}:root"
    password = ("not_supported", "no_information", "not_supported", "not_supported", "false")
    first = ("true", started, *_use(world.root_used))
    rows: list[tuple[str, ...]] = [
        ("<root_account>", root, started, *password, *first, *_NO_KEY, *_NO_CERTIFICATES)
    ]
    rows += [_row(user) for user in world.entities("user")]
    text = "\n".join([_REPORT, *(",".join(row) for row in rows)])
    now = world.now().replace(tzinfo=None)
    answer = {"Content": text.encode(), "ReportFormat": "text/csv", "GeneratedTime": now}
    return result_answer(call, answer)


_NO_KEY: Final = ("false", "N/A", "N/A", "N/A", "N/A")
_NO_CERTIFICATES: Final = ("false", "N/A", "false", "N/A")


def _row(user: Any) -> tuple[str, ...]:
    created = _time(user.create_date)
    password = ("false", "N/A", "N/A", "N/A")
    if user.password is not None:
        used = user.password_last_used
        password = ("true", _time(used) if used else "no_information", created, "N/A")
    mfa = "true" if user.mfa_devices else "false"
    keys = [_key(each) for each in user.access_keys] + [_NO_KEY, _NO_KEY]
    return (user.name, user.arn, created, *password, mfa, *keys[0], *keys[1], *_NO_CERTIFICATES)


def _key(key: Any) -> tuple[str, ...]:
    last = key.last_used
    use = _use((last.timestamp, last.service, last.region) if last else None)
    return ("true" if key.status == "Active" else "false", _time(key.create_date), *use)


def _use(used: tuple[datetime, str, str] | None) -> tuple[str, str, str]:
    if used is None:
        return ("N/A", "N/A", "N/A")
    when, service, region = used
    return (_time(when), region, service)


def _time(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S+00:00")
