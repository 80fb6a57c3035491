"""Roll a policy back to its previous version; delete everything in the order that AWS requires.

https://docs.aws.amazon.com/IAM/latest/APIReference/API_DeleteUser.html
https://docs.aws.amazon.com/IAM/latest/APIReference/API_DeleteRole.html
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final, NamedTuple

from cml_iam.aws.port import Aws
from cml_iam.credentials import key_use, list_keys
from cml_iam.errors import DeniedError, InputError, NotFoundError, NotOfferedError, RefusedError
from cml_iam.policy import difference
from cml_iam.principal import inline_policies, read_document, read_policy, tags_of
from cml_iam.provision._plan import Call, Draft, Piece, Step, iam
from cml_iam.provision._policies import (
    detachment_step,
    other_holders,
    read_tags,
    read_versions,
    removal_step,
    shared_policy,
    site_policies,
)
from cml_iam.provision._principal import Subject, ours, read_profile
from cml_iam.site import Site

_ADOPT_FIRST: Final = "adopt it first: `cml-iam bootstrap adopt`"


def version_to(aws: Aws, site: Site, name: str | None, version: str | None) -> tuple[str, str]:
    """Return the policy to roll back and the version to restore.

    The defaults are the site's policy, and the highest version below the one in force: there,
    bootstrap keeps the previous version. Raises RefusedError if this is ambiguous.
    """
    arn = _arn(aws, site, name)
    versions = read_versions(aws, arn)
    ids = [entry.id for entry in versions]
    if version in ids:
        return arn, version
    if version is not None:
        raise InputError(f"no version `{version}`", remedy=f"choose one of {', '.join(ids)}")
    default = next(entry for entry in versions if entry.default)
    earlier = [entry.id for entry in versions if entry.number < default.number]
    if not earlier:
        raise RefusedError(f"`{arn}` has no version before {default.id} to go back to")
    if default != versions[-1]:
        raise RefusedError(
            f"`{arn}` is at {default.id} already, rolled back from {versions[-1].id}",
            remedy=f"to go back further, name the version: --to {earlier[-1]}",
        )
    return arn, earlier[-1]


def _arn(aws: Aws, site: Site, name: str | None) -> str:
    """Return the ARN of the policy called *name*, or of the site's only policy."""
    arns = {arn.rpartition("/")[2]: arn for _, arn in site_policies(site)}
    if name is not None and name not in arns:
        raise InputError(f"`{name}` is not one of the site's policies")
    arn = arns[name] if name is not None else site.policy_arn
    live = read_policy(aws, arn)
    if live is None:
        raise RefusedError(f"there is no policy `{arn}`")
    if not ours(live.tags):
        raise RefusedError(f"the policy `{arn}` was not made by cml-iam", remedy=_ADOPT_FIRST)
    if name is None and read_policy(aws, f"{arn}-2") is not None:
        raise RefusedError(
            f"the policy is in several parts; choose which to roll back: `{arn}`, -2 …",
            remedy="name one of them: --policy NAME",
        )
    return arn


def rollback_steps(subject: Subject) -> Draft:
    """Return the step that makes the version the default again."""
    assert subject.desired.target is not None  # noqa: S101 - `plan_rollback` says which
    arn, version = subject.desired.target
    name = arn.rpartition("/")[2]
    live = read_policy(subject.aws, arn)
    if live is None:
        raise RefusedError(f"there is no policy `{arn}`")
    if live.default == version:
        return Draft((Step("keep", "policy", name, (f"{version} is in force",)),))
    lines = difference(live.document, read_document(subject.aws, arn, version))
    call = iam("set_default_policy_version", PolicyArn=arn, VersionId=version)
    step = Step("change", "policy", name, (f"~ {live.default} → {version}", *lines), (call,))
    held = shared_policy(subject, live, changes=True, agreed=True)
    again = "the next apply restores the site's policy: change the site file first"
    return replace(held, steps=(step,), warnings=(again, *held.warnings))


def destroy_steps(subject: Subject) -> Draft:
    """Return the steps that delete the principal and the site's policies.

    Keys are deactivated first. Then everything that others may have attached to the user is
    removed, because AWS may refuse this step. Irreversible deletions come last. Raises RefusedError
    for a principal that is not ours.
    """
    draft, site = Draft(), subject.desired.site
    principal, kind, name = subject.live, subject.kind, subject.name
    if principal is not None and "principal" in subject.desired.pieces:
        if not ours(principal.tags):
            raise RefusedError(f"the {kind} `{name}` was not made by cml-iam", remedy=_ADOPT_FIRST)
        aws = subject.aws
        draft += _user(aws, name) if kind == "user" else Draft(tuple(_role_steps(aws, name)))
        # The guard is deleted last: sessions of the role continue, and its denials must hold until
        # then.
        attached = sorted(principal.attached, key=lambda arn: arn == site.guard_arn)
        steps = [detachment_step(subject, arn) for arn in attached]
        draft += Draft((*steps, Step("delete", kind, name, (), (subject.call("delete_{}"),))))
    # The last part is deleted first.
    return sum((_policy(subject, *policy) for policy in site_policies(site)), draft)


def _user(aws: Aws, name: str) -> Draft:
    keys = list_keys(aws, name)
    deactivated, deleted = [], []
    for key in keys:
        address = {"UserName": name, "AccessKeyId": key.id}
        delete = iam("delete_access_key", **address)
        deleted.append(Step("delete", "access key", key.id, (), (delete,)))
        if key.active:
            lines = ("~ Active → Inactive", str(key_use(aws, key.id)))
            call = iam("update_access_key", **address, Status="Inactive")
            deactivated.append(Step("change", "key in force", key.id, lines, (call,)))
    draft = Draft(tuple(deactivated)) + _password(aws, name)
    draft += sum((_belongings(aws, name, kind) for kind in _BELONGINGS), Draft())
    return draft + Draft(tuple(deleted))


def _password(aws: Aws, name: str) -> Draft:
    try:
        aws.call("iam", "get_login_profile", UserName=name)
    except NotFoundError:
        return Draft()
    except DeniedError as error:
        return _unchecked("password", error)
    call = iam("delete_login_profile", UserName=name)
    return Draft((Step("delete", "password", name, (), (call,)),))


class _Belonging(NamedTuple):
    """A kind of thing that belongs to a user: how to list it, identify it, and remove it."""

    word: str
    listing: str
    key: str
    id: str
    removal: str


_BELONGINGS: Final = (
    _Belonging(
        "MFA device", "list_mfa_devices", "MFADevices", "SerialNumber", "deactivate_mfa_device"
    ),
    _Belonging(
        "signing certificate",
        "list_signing_certificates",
        "Certificates",
        "CertificateId",
        "delete_signing_certificate",
    ),
    _Belonging(
        "SSH key",
        "list_ssh_public_keys",
        "SSHPublicKeys",
        "SSHPublicKeyId",
        "delete_ssh_public_key",
    ),
    _Belonging(
        "service credential",
        "list_service_specific_credentials",
        "ServiceSpecificCredentials",
        "ServiceSpecificCredentialId",
        "delete_service_specific_credential",
    ),
    _Belonging(
        "inline policy", "list_user_policies", "PolicyNames", "PolicyName", "delete_user_policy"
    ),
    _Belonging(
        "group membership", "list_groups_for_user", "Groups", "GroupName", "remove_user_from_group"
    ),
)
_UNPAGED: Final = "list_service_specific_credentials"


def _belongings(aws: Aws, name: str, kind: _Belonging) -> Draft:
    """Return the steps that remove all of the user's belongings of one *kind*."""
    try:
        if kind.listing == _UNPAGED:
            listed: Any = aws.call("iam", kind.listing, UserName=name)[kind.key]
        else:
            listed = list(aws.pages("iam", kind.listing, kind.key, UserName=name))
    except (DeniedError, NotOfferedError) as error:
        return _unchecked(kind.word, error)
    ids = [item if isinstance(item, str) else item[kind.id] for item in listed]
    return Draft(
        tuple(Step("delete", kind.word, id_, (), _removal(name, kind, id_)) for id_ in ids)
    )


def _removal(user: str, kind: _Belonging, id_: str) -> tuple[Call, ...]:
    remove = iam(kind.removal, **{"UserName": user, kind.id: id_})
    if ":mfa/" in id_ and kind.id == "SerialNumber":  # a virtual device, which is in IAM itself
        return remove, iam("delete_virtual_mfa_device", SerialNumber=id_)
    return (remove,)


def _unchecked(word: str, error: DeniedError | NotOfferedError) -> Draft:
    why = f"could not check for any {word} ({error.code}): if there is one, AWS will not delete"
    return Draft(unchecked=(f"{why} the user",))


def _role_steps(aws: Aws, name: str) -> Iterator[Step]:
    for policy in inline_policies(aws, "role", name):
        call = iam("delete_role_policy", RoleName=name, PolicyName=policy)
        yield Step("delete", "inline policy", policy, (), (call,))
    listed = aws.pages("iam", "list_instance_profiles_for_role", "InstanceProfiles", RoleName=name)
    others = [profile["InstanceProfileName"] for profile in listed]
    own = read_profile(aws, name)
    for other in dict.fromkeys((*others, *([name] if own is not None else ()))):
        calls: list[Call] = []
        if other in others:
            remove = "remove_role_from_instance_profile"
            calls.append(iam(remove, InstanceProfileName=other, RoleName=name))
        if other == name and own is not None and ours(tags_of(own)):
            calls.append(iam("delete_instance_profile", InstanceProfileName=other))
        if calls:
            lines = ("anything that still runs with it loses its permissions",)
            yield Step("delete", "instance profile", other, lines, tuple(calls))


def _policy(subject: Subject, piece: Piece, arn: str) -> Draft:
    """Return the step that deletes the policy at *arn*, or the reason why it is kept."""
    try:
        tags = read_tags(subject.aws, arn)
    except NotFoundError:
        return Draft()
    except DeniedError as error:
        return Draft(unchecked=(f"could not check for the policy `{arn}` ({error.code})",))
    others = other_holders(subject, arn)
    if piece not in subject.desired.pieces:
        return Draft(warnings=(f"the {piece} policy `{arn}` stays; --{piece} also deletes it",))
    if not ours(tags):
        return Draft(warnings=(f"the policy `{arn}` stays: it was not made by cml-iam",))
    if others:
        return Draft(warnings=(f"the policy `{arn}` stays: it is also attached to {others}",))
    return Draft((removal_step(subject.aws, arn),))
