"""Take the principal and its policies away: what DeleteUser and DeletePolicy need first, in order.

https://docs.aws.amazon.com/IAM/latest/APIReference/API_DeleteUser.html
https://docs.aws.amazon.com/IAM/latest/APIReference/API_DeleteRole.html
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from cml_iam.credentials import key_use, list_keys
from cml_iam.errors import DeniedError, NotFoundError, NotOfferedError, RefusedError
from cml_iam.principal import NAME, inline_policies
from cml_iam.provision._live import read_holders, read_profile, read_tags
from cml_iam.provision._plan import Call, Found, Step
from cml_iam.provision._policies import detachment_step, removal_step, site_policies
from cml_iam.provision._tags import ours

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cml_iam.aws.port import Aws
    from cml_iam.principal import Kind, Principal
    from cml_iam.provision._plan import Wanted


@dataclass(frozen=True, slots=True)
class _Held:
    """Something a user holds: how to list it, its id in an element, and the calls that end it."""

    word: str
    listing: str
    key: str
    id: str
    calls: Callable[[str, str], tuple[Call, ...]]


def _mfa(user: str, serial: str) -> tuple[Call, ...]:
    off = Call("iam", "deactivate_mfa_device", {"UserName": user, "SerialNumber": serial})
    if ":mfa/" not in serial:  # a device of its own, not one that IAM made
        return (off,)
    return off, Call("iam", "delete_virtual_mfa_device", {"SerialNumber": serial})


def _one(operation: str, parameter: str) -> Callable[[str, str], tuple[Call, ...]]:
    return lambda user, each: (Call("iam", operation, {"UserName": user, parameter: each}),)


_HELD: Final = (
    _Held("MFA device", "list_mfa_devices", "MFADevices", "SerialNumber", _mfa),
    _Held(
        "signing certificate",
        "list_signing_certificates",
        "Certificates",
        "CertificateId",
        _one("delete_signing_certificate", "CertificateId"),
    ),
    _Held(
        "SSH key",
        "list_ssh_public_keys",
        "SSHPublicKeys",
        "SSHPublicKeyId",
        _one("delete_ssh_public_key", "SSHPublicKeyId"),
    ),
    _Held(
        "service credential",
        "list_service_specific_credentials",
        "ServiceSpecificCredentials",
        "ServiceSpecificCredentialId",
        _one("delete_service_specific_credential", "ServiceSpecificCredentialId"),
    ),
    _Held(
        "inline policy",
        "list_user_policies",
        "PolicyNames",
        "",
        _one("delete_user_policy", "PolicyName"),
    ),
    _Held(
        "group membership",
        "list_groups_for_user",
        "Groups",
        "GroupName",
        _one("remove_user_from_group", "GroupName"),
    ),
)
_UNPAGED: Final = frozenset({"list_service_specific_credentials"})


def destroy_steps(
    aws: Aws, kind: Kind, name: str, principal: Principal | None, wanted: Wanted
) -> Found:
    """Return the steps that take the principal and the site's policies away.

    Keys stop working first; what others may have put on the user goes next, since that may be
    refused; only then what cannot be had back. Raises RefusedError for a principal that is not
    ours.
    """
    steps: list[Step] = []
    unchecked: list[str] = []
    if principal is not None and "principal" in wanted.pieces:
        if not ours(principal.tags):
            raise RefusedError(
                f"the {kind} `{name}` was not made by cml-iam",
                remedy="take it over first: `cml-iam bootstrap adopt`",
            )
        steps += (_user_steps if kind == "user" else _role_steps)(aws, name, principal, unchecked)
        # The guard goes last: a role's sessions go on, and what it denies must stay denied.
        attached = sorted(principal.attached, key=lambda arn: arn == wanted.site.guard_arn)
        steps += [detachment_step(kind, name, arn) for arn in attached]
        call = Call("iam", f"delete_{kind}", {NAME[kind]: name})
        steps.append(Step("delete", kind, name, (), (call,)))
    policies, warnings = _policy_steps(aws, kind, name, wanted, unchecked)
    return Found((*steps, *policies), warnings, tuple(unchecked))


def _user_steps(aws: Aws, name: str, _: Principal, unchecked: list[str]) -> Iterator[Step]:
    keys = list_keys(aws, name)
    for key in keys:
        if key.status == "Active":
            address = {"UserName": name, "AccessKeyId": key.id, "Status": "Inactive"}
            call = Call("iam", "update_access_key", address)
            lines = ("~ Active → Inactive", str(key_use(aws, key.id)))
            yield Step("change", "key in force", key.id, lines, (call,))
    yield from _password(aws, name, unchecked)
    for held in _HELD:
        for each in _listed(aws, name, held, unchecked):
            yield Step("delete", held.word, each, (), held.calls(name, each))
    for key in keys:
        address = {"UserName": name, "AccessKeyId": key.id}
        yield Step("delete", "access key", key.id, (), (Call("iam", "delete_access_key", address),))


def _password(aws: Aws, name: str, unchecked: list[str]) -> Iterator[Step]:
    try:
        aws.call("iam", "get_login_profile", UserName=name)
    except NotFoundError:
        return
    except DeniedError as error:
        unchecked.append(_unchecked("password", error))
        return
    call = Call("iam", "delete_login_profile", {"UserName": name})
    yield Step("delete", "password", name, (), (call,))


def _listed(aws: Aws, name: str, held: _Held, unchecked: list[str]) -> tuple[str, ...]:
    try:
        if held.listing in _UNPAGED:
            found: Any = aws.call("iam", held.listing, UserName=name)[held.key]
        else:
            found = list(aws.pages("iam", held.listing, held.key, UserName=name))
    except (DeniedError, NotOfferedError) as error:
        unchecked.append(_unchecked(held.word, error))
        return ()
    return tuple(each[held.id] if held.id else each for each in found)


def _unchecked(word: str, error: DeniedError | NotOfferedError) -> str:
    return (
        f"could not check for any {word} ({error.code}): where there is one, AWS does not delete "
        "the user"
    )


def _role_steps(aws: Aws, name: str, _: Principal, __: list[str]) -> Iterator[Step]:
    address = {"RoleName": name}
    for each in inline_policies(aws, "role", name):
        call = Call("iam", "delete_role_policy", {**address, "PolicyName": each})
        yield Step("delete", "inline policy", each, (), (call,))
    listed = aws.pages("iam", "list_instance_profiles_for_role", "InstanceProfiles", **address)
    others = [each["InstanceProfileName"] for each in listed]
    own = read_profile(aws, name)
    for each in dict.fromkeys((*others, *([name] if own is not None else ()))):
        profile = {"InstanceProfileName": each}
        calls: list[Call] = []
        if each in others:
            calls.append(Call("iam", "remove_role_from_instance_profile", {**profile, **address}))
        if each == name and own is not None and ours(own.tags):
            calls.append(Call("iam", "delete_instance_profile", profile))
        if calls:
            lines = ("what still runs with it is without permissions then",)
            yield Step("delete", "instance profile", each, lines, tuple(calls))


def _policy_steps(
    aws: Aws, kind: Kind, name: str, wanted: Wanted, unchecked: list[str]
) -> tuple[tuple[Step, ...], tuple[str, ...]]:
    """Return the steps that delete the policies, the parts from the last, and what stays."""
    steps: list[Step] = []
    warnings: list[str] = []
    for piece, arn in site_policies(wanted.site):
        try:
            tags = read_tags(aws, arn)
        except NotFoundError:
            continue
        except DeniedError as error:
            unchecked.append(f"could not check for the policy `{arn}` ({error.code})")
            continue
        others = read_holders(aws, arn, but=(kind, name))
        if piece not in wanted.pieces:
            warnings.append(f"the {piece} policy `{arn}` stays; --{piece} deletes it, too")
        elif not ours(tags):
            warnings.append(f"the policy `{arn}` stays: it was not made by cml-iam")
        elif others:
            warnings.append(f"the policy `{arn}` stays: {', '.join(map(str, others))} has it, too")
        else:
            steps.append(removal_step(aws, arn))
    return tuple(steps), tuple(warnings)
