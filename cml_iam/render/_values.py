"""What the templates speak of: the site's values as ARNs and conditions."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from cml_iam.catalogue import Catalogue, Permission
from cml_iam.errors import InputError
from cml_iam.facts import service_principal
from cml_iam.shipped import shipped_text
from cml_iam.site import LAUNCH_RESTRICTIONS, Restrictions, Site


def policy_values(site: Site, catalogue: Catalogue) -> dict[str, Any]:
    """Return what the hardened policy and the guard speak of."""
    restrict, tag = site.restrict, site.restrict.guard_tag
    permissions = (*catalogue.permissions, *catalogue.granted(site.grant.active))
    others = tuple(each for each in restrict.regions if each not in restrict.images)
    return {
        "restrict": restrict,
        "guard_tag": tag,
        "restricts_images": "images" in restrict.active,
        "split_launch": bool(restrict.active & LAUNCH_RESTRICTIONS),
        "reads": lambda service, any_region=False: _reads(permissions, service, any_region),
        "operations": _operations(permissions, restrict),
        "tagging": [each.action for each in permissions if each.access == "Tagging"],
        "arn": lambda kind: every(site, kind),
        "everywhere": lambda kind: f"arn:{site.partition}:ec2:*:*:{kind}/*",
        "listed_images": listed_images(site),
        "subnets": [f"arn:{site.partition}:ec2:*:*:subnet/{each}" for each in restrict.subnets],
        "supporting_resources": _supporting(site, catalogue),
        "taggable_at_launch": [
            every(site, each.type) for each in catalogue.permission("ec2:CreateTags").resources
        ],
        "in_regions": in_regions(restrict.regions),
        "in_other_image_regions": in_regions(others),
        "other_image_regions": bool(others) or not restrict.regions,
        "outside_listed_regions": {} if restrict.regions else in_regions(restrict.images),
        "has_tag": {f"aws:ResourceTag/{tag.key}": tag.value} if tag else {},
        "sets_tag": {f"aws:RequestTag/{tag.key}": tag.value} if tag else {},
        "image_has_tag": _image_has_tag(restrict),
        "owner_key": {"ec2:Owner": restrict.image_owners} if restrict.image_owners else {},
        "passed_role": passed_role(site),
        "ec2_service": service_principal("ec2", site.partition),
    }


def guard_values(site: Site, catalogue: Catalogue, *, for_organization: bool) -> dict[str, Any]:
    """Return what the Deny guard speaks of, attached to the manager or as an organization's."""
    restrict, values = site.restrict, policy_values(site, catalogue)
    permissions = (*catalogue.permissions, *catalogue.granted(site.grant.active))
    account = "*" if for_organization else site.account
    resource = Arns(site.partition, account)
    launch = [
        *(resource.every(kind) for kind in ("image", "instance", "key-pair", "network-interface")),
        *resource.listed("security-group", restrict.security_groups),
        # Listed subnets may be shared by the account that owns them.
        *(values["subnets"] or [resource.every("subnet")]),
        resource.every("volume"),
    ]
    operations = [e.action for e in permissions if e.access == "Write" and e.name != "RunInstances"]
    return values | {
        "cap": not for_organization,
        "scope": _scope(site) if for_organization else {},
        "actions": [each.action for each in permissions],
        "any_region_actions": [each.action for each in permissions if each.any_region],
        "launch_resources": launch,
        "images_of_listed_regions": [
            f"arn:{site.partition}:ec2:{region}::image/*" for region in restrict.images
        ],
        "listed_image_ids": [image for ids in restrict.images.values() for image in ids],
        "outside_listed": in_regions(restrict.images),
        "operations": [action for action in operations if action != "iam:PassRole"],
        "taggable_at_launch": [
            resource.every(each.type) for each in catalogue.permission("ec2:CreateTags").resources
        ],
    }


def trust_values(site: Site) -> dict[str, Any]:
    """Return what the trust policies speak of."""
    return {"account": site.account, "ec2_service": service_principal("ec2", site.partition)}


def ecs_values(site: Site) -> dict[str, Any]:
    """Return what the trust policy of an ECS task speaks of; raises InputError without [ecs]."""
    if not site.ecs_region:
        raise InputError(
            "the site file does not say where ECS runs the manager",
            remedy="add [ecs] with `region`",
        )
    tasks = f"arn:{site.partition}:ecs:{site.ecs_region}:{site.account}:*"
    return {"account": site.account, "ecs_tasks": tasks}


def eks_values(site: Site) -> dict[str, Any]:
    """Return what the trust policies on EKS speak of; raises InputError without [eks]."""
    if not site.eks:
        raise InputError(
            "the site file does not say where EKS runs the manager",
            remedy="add [eks] with `cluster` and `region`",
        )
    where = f"{site.eks.region}:{site.account}"
    return {
        "eks": site.eks,
        "cluster_arn": f"arn:{site.partition}:eks:{where}:cluster/{site.eks.cluster}",
    }


def irsa_values(site: Site) -> dict[str, Any]:
    """Return what the trust policy by OIDC speaks of; raises InputError without a provider."""
    values = eks_values(site)
    eks = values["eks"]
    if not eks.oidc_provider:
        raise InputError(
            "the site file does not name the cluster's OIDC provider",
            remedy="add `oidc_provider` to [eks], or use Pod Identity, which needs none",
        )
    provider = f"arn:{site.partition}:iam::{site.account}:oidc-provider/{eks.oidc_provider}"
    subject = f"system:serviceaccount:{eks.namespace}:{eks.service_account}"
    audience = "sts.amazonaws.com"
    claims = {f"{eks.oidc_provider}:sub": subject, f"{eks.oidc_provider}:aud": audience}
    return {"oidc_provider_arn": provider, "oidc_claims": claims}


def bootstrap_values(site: Site) -> dict[str, Any]:
    """Return what the policies of those who bootstrap speak of."""
    lists = tomllib.loads(shipped_text("policies", "bootstrap.toml"))
    profile = f"arn:{site.partition}:iam::{site.account}:instance-profile{site.path}{site.role}"
    # As long as something is not there, IAM takes it to be at the path `/`.
    paths = dict.fromkeys((site.path, "/"))
    principals = [replace(site, path=path).principal_arn for path in paths]
    profiles = [profile.replace(f"{site.path}{site.role}", f"{path}{site.role}") for path in paths]
    return {
        "policy_reads": lists["policy_reads"],
        "look_around": lists["look_around"],
        "policy_writes": lists["policy_writes"],
        **lists["role" if site.role else "user"],
        "user": site.user,
        "principal_arn": site.principal_arn,
        "principal_arns": principals if len(paths) > 1 else site.principal_arn,
        "policy_arn": site.policy_arn,
        "boundary_arn": site.boundary_arn,
        "guard_arn": site.guard_arn,
        "profile_arn": profiles if len(paths) > 1 else profile,
        "ec2_service": service_principal("ec2", site.partition),
    }


def audit_values(site: Site) -> dict[str, Any]:
    """Return what the documents of the trail and the alarms speak of."""
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


@dataclass(frozen=True, slots=True)
class Arns:
    """Makes the ARNs of EC2 resources in all regions."""

    partition: str
    account: str

    def every(self, kind: str) -> str:
        """Return the ARN of every resource of *kind*; images belong to no account in ARNs."""
        return self._of(kind, "*")

    def listed(self, kind: str, ids: Iterable[str]) -> list[str]:
        """Return the ARNs of these resources of *kind*, or where none is listed of every one."""
        return [self._of(kind, each) for each in ids] or [self.every(kind)]

    def _of(self, kind: str, name: str) -> str:
        account = "" if kind == "image" else self.account
        return f"arn:{self.partition}:ec2:*:{account}:{kind}/{name}"


def _scope(site: Site) -> dict[str, Any]:
    """Return the condition that the manager calls, in whichever account."""
    kind, name = site.principal
    return {"ArnLike": {"aws:PrincipalArn": f"arn:{site.partition}:iam::*:{kind}{site.path}{name}"}}


def every(site: Site, kind: str) -> str:
    """Return the ARN of every EC2 resource of *kind*; images belong to no account in ARNs."""
    account = "" if kind == "image" else site.account
    return f"arn:{site.partition}:ec2:*:{account}:{kind}/*"


def listed_images(site: Site) -> list[str]:
    """Return the ARNs of the images that the site lists."""
    return [
        f"arn:{site.partition}:ec2:{region}::image/{image}"
        for region, images in site.restrict.images.items()
        for image in images
    ]


def passed_role(site: Site) -> str | None:
    """Return the ARN of the one role that may be handed to a worker."""
    name = site.grant.pass_role
    return f"arn:{site.partition}:iam::{site.account}:role/{name}" if name else None


def in_regions(regions: Iterable[str]) -> dict[str, list[str]]:
    """Return the condition that the request goes to one of *regions*; empty for none."""
    listed = list(regions)
    return {"aws:RequestedRegion": listed} if listed else {}


def _reads(permissions: Iterable[Permission], service: str, any_region: bool) -> list[str]:
    return [
        each.action
        for each in permissions
        if each.service == service and not each.resources and each.any_region == any_region
    ]


def _operations(permissions: Iterable[Permission], restrict: Restrictions) -> list[str]:
    elsewhere = {"ec2:RunInstances", "iam:PassRole"}
    if restrict.mfa_to_terminate:
        elsewhere.add("ec2:TerminateInstances")
    return [e.action for e in permissions if e.access == "Write" and e.action not in elsewhere]


def _supporting(site: Site, catalogue: Catalogue) -> list[str]:
    """Return what a launch may use beside the instance, the image and what has its own rule."""
    restrict = site.restrict
    elsewhere = {"image", "instance"}
    if restrict.subnets:
        elsewhere |= {"subnet", "network-interface"}
    if restrict.encrypted_volumes:
        elsewhere.add("volume")
    if restrict.security_groups:
        elsewhere.add("security-group")
    groups = [
        f"arn:{site.partition}:ec2:*:{site.account}:security-group/{each}"
        for each in restrict.security_groups
    ]
    resources = catalogue.permission("ec2:RunInstances").resources
    return [every(site, each.type) for each in resources if each.type not in elsewhere] + groups


def _image_has_tag(restrict: Restrictions) -> dict[str, str]:
    tag = restrict.image_tag
    return {f"aws:ResourceTag/{tag.key}": tag.value} if tag else {}
