"""The values for templates: the site's values as ARNs and conditions."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from cml_iam.catalogue import load_catalogue
from cml_iam.errors import InputError
from cml_iam.facts import TAGGING, service_principal
from cml_iam.files import shipped_text
from cml_iam.policy import Conditions, merged
from cml_iam.restrict import (
    RUN,
    names,
    operations,
    own,
    permissions,
    resources_of,
    rules_of,
    splits_launch,
)
from cml_iam.restrict.calls import passed_role, to_ec2
from cml_iam.restrict.guard_tag import AT_LAUNCH, tag_tests
from cml_iam.restrict.images import by_owner, by_tag
from cml_iam.restrict.launch import listed_subnets
from cml_iam.site import Oidc, Site

_T = TypeVar("_T")


def policy_values(site: Site) -> dict[str, Any]:
    """Return the values for the hardened policy.

    `allowed(action, type)` combines the conditions of all rules about *action* on *type*.
    """
    restrict, rules = site.restrict, rules_of(site)
    inside = _in_regions(restrict.regions)
    others = tuple(region for region in restrict.regions if region not in restrict.images)
    listed = {} if restrict.regions else _in_regions(restrict.images)
    outside = {"StringNotEquals": listed.get("StringEquals", {})}

    def allowed(action: str = "", kind: str = "instance") -> Conditions:
        on_kind = [rule for rule in rules if rule.type in ("", kind)]
        tests = [rule.tests for rule in on_kind if action in names(rule.actions)]
        return _condition(inside, *(test.holds for (test,) in tests))

    return {
        **_shared_values(site, {}),
        "guard_tag": tag_tests(restrict.guard_tag) if restrict.guard_tag else None,
        "at_launch": AT_LAUNCH,
        "reads": partial(_reads, site),
        "operations": [
            operation
            for operation in operations(site)
            if not (restrict.mfa_to_terminate and operation == "ec2:TerminateInstances")
        ],
        "allowed": allowed,
        "where": lambda *tests: _condition(inside, *(test.holds for test in tests)),
        "elsewhere": lambda test: _condition(_in_regions(others), test.holds, outside),
        "other_image_regions": bool(others) or not restrict.regions,
        "by_owner": by_owner(site),
        "by_tag": by_tag(site),
        "listed_images": [
            f"arn:{site.partition}:ec2:{region}::image/{image}"
            for region, images in restrict.images.items()
            for image in images
        ],
        "subnets": listed_subnets(site).arns(site),
        "conditioned": {rule.type: rule.allow for rule in rules if rule.allow},
        "supporting_resources": _supporting(site),
        "taggable_at_launch": _taggable(site),
        "passed_to_ec2": to_ec2(site).holds,
    }


def guard_values(site: Site, *, for_organization: bool = False) -> dict[str, Any]:
    """Return the values for the guardrail, attached to the manager or to an organization."""
    anywhere = replace(site, account="*") if for_organization else site
    kind, name = site.principal
    manager = f"arn:{site.partition}:iam::*:{kind}{site.path}{name}"
    scope = {"ArnLike": {"aws:PrincipalArn": manager}} if for_organization else {}
    listed = resources_of(site)
    launch: list[str] = []
    for resource in load_catalogue().permission(RUN).resources:
        only = listed.get(resource.type)
        launch += only.arns(anywhere) if only else [_arn(anywhere, resource.type)]
    return {
        **_shared_values(site, scope),
        "guard_tag": site.restrict.guard_tag,
        "operations": operations(site),
        "cap": not for_organization,
        "scope": scope,
        "actions": [permission.action for permission in permissions(site)],
        "launch_resources": launch,
        "taggable_at_launch": _taggable(anywhere),
    }


def _shared_values(site: Site, scope: Conditions) -> dict[str, Any]:
    rules = {rule.sid: rule for rule in rules_of(site)}
    return {
        "restrict": site.restrict,
        "split_launch": splits_launch(site),
        "tagging": TAGGING,
        "arn": partial(_arn, site),
        "passed_role": passed_role(site),
        "deny": lambda sid: rules[sid].deny(site, scope) if sid in rules else None,
    }


def trust_values(site: Site) -> dict[str, Any]:
    """Return the values for EC2's trust policy."""
    return {"account": site.account, "ec2_service": service_principal("ec2", site.partition)}


def ecs_values(site: Site) -> dict[str, Any]:
    """Return the values for an ECS task's trust policy; raises InputError without [ecs]."""
    region = _needed(site.ecs_region, "say where ECS runs the manager", "add [ecs] with `region`")
    tasks = f"arn:{site.partition}:ecs:{region}:{site.account}:*"
    return {"account": site.account, "ecs_tasks": tasks}


def eks_values(site: Site) -> dict[str, Any]:
    """Return the values for the EKS trust policies; raises InputError without [eks]."""
    remedy = "add [eks] with `cluster` and `region`"
    eks = _needed(site.eks, "say where EKS runs the manager", remedy)
    cluster = f"arn:{site.partition}:eks:{eks.region}:{site.account}:cluster/{eks.cluster}"
    return {"eks": eks, "cluster_arn": cluster}


def irsa_values(site: Site) -> dict[str, Any]:
    """Return the values for the IRSA trust policy; raises InputError without a provider."""
    eks = eks_values(site)["eks"]
    provider = _needed(
        eks.oidc_provider,
        "name the cluster's OIDC provider",
        "add `oidc_provider` to [eks], or use Pod Identity, which needs none",
    )
    subject = f"system:serviceaccount:{eks.namespace}:{eks.service_account}"
    return _claims(site, Oidc(provider, subject))


def oidc_values(site: Site) -> dict[str, Any]:
    """Return the values for an OIDC token's trust policy; raises InputError without [oidc]."""
    remedy = "add [oidc] with `provider` and `subject`"
    return _claims(site, _needed(site.oidc, "say whose tokens the manager has", remedy))


def _claims(site: Site, oidc: Oidc) -> dict[str, Any]:
    provider = f"arn:{site.partition}:iam::{site.account}:oidc-provider/{oidc.provider}"
    claims = {f"{oidc.provider}:sub": oidc.subject, f"{oidc.provider}:aud": oidc.audience}
    return {"oidc_provider_arn": provider, "oidc_claims": claims}


def roles_anywhere_values(site: Site) -> dict[str, Any]:
    """Return the values for a certificate's trust policy; raises InputError without one."""
    certificate = _needed(
        site.roles_anywhere,
        "say which certificate the manager has",
        "add [roles_anywhere] with `subject` and `issuer`",
    )
    anchor = _needed(
        certificate.trust_anchor,
        "name the trust anchor",
        "add `trust_anchor` to [roles_anywhere], or let cml-iam create it: `policy render "
        "--trust roles-anywhere --form terraform`",
    )
    return {
        "trust_anchor": anchor,
        "certificate": {
            "aws:PrincipalTag/x509Subject/CN": certificate.subject,
            "aws:PrincipalTag/x509Issuer/CN": certificate.issuer,
        },
    }


def _needed(value: _T | None, purpose: str, remedy: str) -> _T:
    if not value:
        raise InputError(f"the site file does not {purpose}", remedy=remedy)
    return value


def bootstrap_values(site: Site) -> dict[str, Any]:
    """Return the values for the policies of administrators who bootstrap."""
    lists = tomllib.loads(shipped_text("policies", "bootstrap.toml"))
    # IAM treats a resource that does not exist yet as one at the path `/`.
    sites = [replace(site, path=path) for path in dict.fromkeys((site.path, "/"))]
    principals = [place.principal_arn for place in sites]
    profile = f"arn:{site.partition}:iam::{site.account}:instance-profile"
    profiles = [f"{profile}{place.path}{site.role}" for place in sites]
    return {
        "policy_reads": lists["policy_reads"],
        "look_around": lists["look_around"],
        "policy_writes": lists["policy_writes"],
        **lists["role" if site.role else "user"],
        "user": site.user,
        "principal_arn": site.principal_arn,
        "principal_arns": principals if len(sites) > 1 else site.principal_arn,
        "policy_arn": site.policy_arn,
        "boundary_arn": site.boundary_arn,
        "guard_arn": site.guard_arn,
        "profile_arn": profiles if len(sites) > 1 else profiles[0],
        "ec2_service": service_principal("ec2", site.partition),
    }


def audit_values(site: Site) -> dict[str, str]:
    """Return the values for the documents of the trail and the alarms."""
    audit, here = site.audit, f"arn:{site.partition}"
    where = f"{audit.region}:{site.account}"
    return {
        "account": site.account,
        "bucket_arn": f"{here}:s3:::{audit.bucket}",
        "trail_arn": f"{here}:cloudtrail:{where}:trail/{audit.trail}",
        "log_group_arn": f"{here}:logs:{where}:log-group:{audit.log_group}",
        "delivery_role_arn": f"{here}:iam::{site.account}:role/cml-cloudtrail-to-logs",
        "alarm_arns": f"{here}:cloudwatch:{where}:alarm:cml-*",
        "topic_arn": f"{here}:sns:{where}:cml-alerts",
    }


def _condition(*conditions: Conditions) -> Conditions:
    """Combine *conditions* into one: equality operators first, keys in alphabetical order."""
    blocks: Conditions = {"StringEquals": {}} | merged(*conditions)
    return {
        name: dict(sorted(block.items(), key=lambda item: item[0].lower()))
        for name, block in blocks.items()
        if block
    }


def _in_regions(regions: Iterable[str]) -> Conditions:
    """Return the condition that the request goes to one of *regions*; empty without regions."""
    listed = list(regions)
    return {"StringEquals": {"aws:RequestedRegion": listed}} if listed else {}


def _reads(site: Site, service: str, any_region: bool = False) -> list[str]:
    return [
        permission.action
        for permission in permissions(site)
        if permission.service == service
        and not permission.resources
        and permission.any_region == any_region
    ]


def _arn(site: Site, kind: str) -> str:
    return own(site, kind, site.partition)


def _taggable(site: Site) -> list[str]:
    """Return the resource types that a launch may tag."""
    return [
        _arn(site, resource.type)
        for resource in load_catalogue().permission("ec2:CreateTags").resources
    ]


def _supporting(site: Site) -> list[str]:
    """Return the resources that a launch may use, except types with statements of their own."""
    only = resources_of(site)
    elsewhere = {"image", "instance", *only, *(rule.type for rule in rules_of(site))}
    resources = load_catalogue().permission(RUN).resources
    return [
        *(_arn(site, resource.type) for resource in resources if resource.type not in elsewhere),
        *(arn for kind, row in only.items() if kind != "subnet" for arn in row.arns(site)),
    ]
