"""Roll a policy back to its previous version; delete everything in the order that AWS requires.

https://docs.aws.amazon.com/IAM/latest/APIReference/API_DeleteUser.html
https://docs.aws.amazon.com/IAM/latest/APIReference/API_DeleteRole.html
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from cml_iam.credentials import key_use, list_keys
from cml_iam.errors import DeniedError, InputError, NotFoundError, NotOfferedError, RefusedError
from cml_iam.policy import difference
from cml_iam.principal import NAME, inline_policies, read_document, read_policy
from cml_iam.provision._plan import Call, Draft, Step
from cml_iam.provision._policies import detachment_step, removal_step, shared_policy, site_policies
from cml_iam.provision._steps import ours, read_holders, read_profile, read_tags, read_versions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cml_iam.aws.port import Aws
    from cml_iam.credentials import KeyInfo
    from cml_iam.principal import Kind, Principal
    from cml_iam.provision._plan import Desired, Piece
    from cml_iam.provision._steps import Version
    from cml_iam.site import Site


def version_to(aws: Aws, site: Site, name: str | None, version: str | None) -> tuple[str, str]:
    """Return the policy to roll back and the version to restore.

    The defaults are the site's policy, and the highest version below the one in force: there,
    bootstrap keeps the previous version. Raises RefusedError if this is ambiguous.
    """
    arn = _arn(aws, site, name)
    versions = read_versions(aws, arn)
    default = next(each for each in versions if each.default)
    if version is not None:
        if version not in [each.id for each in versions]:
            known = ", ".join(each.id for each in versions)
            raise InputError(f"no version `{version}`", remedy=f"choose one of {known}")
        return arn, version
    return arn, _former(versions, default, arn).id


def _former(versions: tuple[Version, ...], default: Version, arn: str) -> Version:
    earlier = [version for version in versions if version.number < default.number]
    if not earlier:
        raise RefusedError(f"`{arn}` has no version before {default.id} to go back to")
    if default != versions[-1]:
        raise RefusedError(
            f"`{arn}` is at {default.id} already, rolled back from {versions[-1].id}",
            remedy=f"to go back further, name the version: --to {earlier[-1].id}",
        )
    return earlier[-1]


def _arn(aws: Aws, site: Site, name: str | None) -> str:
    """Return the ARN of the policy called *name*, or of the site's only policy."""
    known = {arn.rpartition("/")[2]: arn for _, arn in site_policies(site)}
    if name is not None:
        if name not in known:
            raise InputError(f"`{name}` is not one of the site's policies")
        arn = known[name]
    else:
        arn = site.policy_arn
    live = read_policy(aws, arn)
    if live is None:
        raise RefusedError(f"there is no policy `{arn}`")
    if not ours(live.tags):
        raise RefusedError(
            f"the policy `{arn}` was not made by cml-iam",
            remedy="adopt it first: `cml-iam bootstrap adopt`",
        )
    if name is None and read_policy(aws, f"{arn}-2") is not None:
        raise RefusedError(
            f"the policy is in several parts; choose which to roll back: `{arn}`, -2 …",
            remedy="name one of them: --policy NAME",
        )
    return arn


def rollback_steps(aws: Aws, desired: Desired) -> Draft:
    """Return the step that makes the version the default again."""
    assert desired.target is not None  # noqa: S101 - `plan_rollback` says which
    arn, version = desired.target
    name = arn.rpartition("/")[2]
    live = read_policy(aws, arn)
    if live is None:
        raise RefusedError(f"there is no policy `{arn}`")
    if live.default == version:
        return Draft((Step("keep", "policy", name, (f"{version} is in force",)),))
    lines = difference(live.document, read_document(aws, arn, version))
    call = Call("iam", "set_default_policy_version", {"PolicyArn": arn, "VersionId": version})
    step = Step("change", "policy", name, (f"~ {live.default} → {version}", *lines), (call,))
    held = shared_policy(aws, live, but=desired.site.principal, changes=True, agreed=True)
    again = "the next apply restores the site's policy: change the site file first"
    return replace(held, steps=(step,), warnings=(again, *held.warnings))


@dataclass(frozen=True, slots=True)
class _Held:
    """A kind of thing that belongs to a user: how to list and identify it, and how to remove it."""

    word: str
    listing: str
    key: str
    id: str
    calls: Callable[[str, str], tuple[Call, ...]]


def _mfa(user: str, serial: str) -> tuple[Call, ...]:
    off = Call("iam", "deactivate_mfa_device", {"UserName": user, "SerialNumber": serial})
    if ":mfa/" not in serial:  # a physical device, not a virtual one from IAM
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
    aws: Aws, kind: Kind, name: str, principal: Principal | None, desired: Desired
) -> Draft:
    """Return the steps that delete the principal and the site's policies.

    Keys are deactivated first. Then everything that others may have attached to the user is
    removed, because AWS may refuse this step. Irreversible deletions come last. Raises RefusedError
    for a principal that is not ours.
    """
    draft = Draft()
    if principal is not None and "principal" in desired.pieces:
        if not ours(principal.tags):
            raise RefusedError(
                f"the {kind} `{name}` was not made by cml-iam",
                remedy="adopt it first: `cml-iam bootstrap adopt`",
            )
        draft += _user(aws, name) if kind == "user" else Draft(tuple(_role_steps(aws, name)))
        # The guard is deleted last: sessions of the role continue, and its denials must hold until
        # then.
        attached = sorted(principal.attached, key=lambda arn: arn == desired.site.guard_arn)
        draft += Draft(tuple(detachment_step(kind, name, arn) for arn in attached))
        call = Call("iam", f"delete_{kind}", {NAME[kind]: name})
        draft += Draft((Step("delete", kind, name, (), (call,)),))
    # The last part is deleted first.
    policies = (
        _policy(aws, kind, name, piece, arn, desired) for piece, arn in site_policies(desired.site)
    )
    return sum(policies, draft)


def _user(aws: Aws, name: str) -> Draft:
    keys = list_keys(aws, name)
    draft = Draft(tuple(_deactivation(aws, name, key) for key in keys if key.active))
    draft += _password(aws, name)
    draft += sum((_holdings(aws, name, held) for held in _HELD), Draft())
    return draft + Draft(tuple(_key_deletion(name, key) for key in keys))


def _deactivation(aws: Aws, name: str, key: KeyInfo) -> Step:
    address = {"UserName": name, "AccessKeyId": key.id, "Status": "Inactive"}
    call = Call("iam", "update_access_key", address)
    lines = ("~ Active → Inactive", str(key_use(aws, key.id)))
    return Step("change", "key in force", key.id, lines, (call,))


def _key_deletion(name: str, key: KeyInfo) -> Step:
    address = {"UserName": name, "AccessKeyId": key.id}
    return Step("delete", "access key", key.id, (), (Call("iam", "delete_access_key", address),))


def _password(aws: Aws, name: str) -> Draft:
    try:
        aws.call("iam", "get_login_profile", UserName=name)
    except NotFoundError:
        return Draft()
    except DeniedError as error:
        return _unchecked("password", error)
    call = Call("iam", "delete_login_profile", {"UserName": name})
    return Draft((Step("delete", "password", name, (), (call,)),))


def _holdings(aws: Aws, name: str, held: _Held) -> Draft:
    """Return the steps that remove all of the user's belongings of one kind."""
    try:
        if held.listing in _UNPAGED:
            listed: Any = aws.call("iam", held.listing, UserName=name)[held.key]
        else:
            listed = list(aws.pages("iam", held.listing, held.key, UserName=name))
    except (DeniedError, NotOfferedError) as error:
        return _unchecked(held.word, error)
    ids = [element[held.id] if held.id else element for element in listed]
    return Draft(tuple(Step("delete", held.word, id_, (), held.calls(name, id_)) for id_ in ids))


def _unchecked(word: str, error: DeniedError | NotOfferedError) -> Draft:
    why = f"could not check for any {word} ({error.code}): if there is one, AWS will not delete"
    return Draft(unchecked=(f"{why} the user",))


def _role_steps(aws: Aws, name: str) -> Iterator[Step]:
    address = {"RoleName": name}
    for policy in inline_policies(aws, "role", name):
        call = Call("iam", "delete_role_policy", {**address, "PolicyName": policy})
        yield Step("delete", "inline policy", policy, (), (call,))
    listed = aws.pages("iam", "list_instance_profiles_for_role", "InstanceProfiles", **address)
    others = [each["InstanceProfileName"] for each in listed]
    own = read_profile(aws, name)
    for other in dict.fromkeys((*others, *([name] if own is not None else ()))):
        profile = {"InstanceProfileName": other}
        calls: list[Call] = []
        if other in others:
            calls.append(Call("iam", "remove_role_from_instance_profile", {**profile, **address}))
        if other == name and own is not None and ours(own.tags):
            calls.append(Call("iam", "delete_instance_profile", profile))
        if calls:
            lines = ("anything that still runs with it loses its permissions",)
            yield Step("delete", "instance profile", other, lines, tuple(calls))


def _policy(aws: Aws, kind: Kind, name: str, piece: Piece, arn: str, desired: Desired) -> Draft:
    """Return the step that deletes the policy at *arn*, or the reason why it is kept."""
    try:
        tags = read_tags(aws, arn)
    except NotFoundError:
        return Draft()
    except DeniedError as error:
        return Draft(unchecked=(f"could not check for the policy `{arn}` ({error.code})",))
    others = read_holders(aws, arn, but=(kind, name))
    if piece not in desired.pieces:
        return Draft(warnings=(f"the {piece} policy `{arn}` stays; --{piece} also deletes it",))
    if not ours(tags):
        return Draft(warnings=(f"the policy `{arn}` stays: it was not made by cml-iam",))
    if others:
        holders = ", ".join(map(str, others))
        return Draft(warnings=(f"the policy `{arn}` stays: it is also attached to {holders}",))
    return Draft((removal_step(aws, arn),))
