"""The promises of a site: what its policies must never permit, as questions over all requests."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from cml_iam.catalogue import Permission, load_catalogue
from cml_iam.facts import service_principal
from cml_iam.policy import PolicyDocument, load_policy
from cml_iam.render import render_policy
from cml_iam.site import Restrictions, Site, Tag
from cml_iam.space import Shape

MAX_LISTED: Final = 4

Conditions = dict[str, dict[str, Any]]

RUN: Final = ("ec2:RunInstances",)
TAGGING: Final = ("ec2:CreateTags", "ec2:DeleteTags")
LATER: Final = {"Null": {"ec2:CreateAction": "true"}}
"""Tags of what exists already; EC2 says ec2:CreateAction of those it sets while it creates."""

Manner = Literal["never", "within", "taken over", "lost"]


@dataclass(frozen=True, slots=True)
class Promise:
    """Something that must hold of all requests, or of all sequences of them.

    *manner* says how it is asked: none of *shapes* is `never` allowed; the policies grant nothing
    but what *reference* does (`within`; *shapes* are what it does not); none of the resources of
    the one shape that do not carry *tag* meets its actions, in any number of steps (`taken over`);
    none of them loses it (`lost`).
    *closing* are conditions that close a statement by which it is broken.
    """

    id: str
    title: str
    manner: Manner
    shapes: tuple[Shape, ...] = ()
    reference: PolicyDocument | None = None
    tag: Tag | None = None
    closing: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def site_promises(site: Site) -> tuple[Promise, ...]:
    """Return everything that the restrictions of *site* promise, in order."""
    return tuple(_promises(site))


def _promises(site: Site) -> Iterator[Promise]:
    restrict, permissions = site.restrict, _permissions(site)
    others = (Shape(not_actions=tuple(each.action for each in permissions)),)
    yield Promise(
        "within-base",
        "nothing beyond the documented policy is allowed",
        "within",
        others,
        reference=_base(permissions),
    )
    yield Promise(
        "catalogue", "no action outside the permission catalogue is allowed", "never", others
    )
    if restrict.regions:
        yield _regions(restrict, permissions)
    if restrict.instance_types:
        types = list(restrict.instance_types)
        yield Promise(
            "instance-types",
            f"no instance is launched but {_listed(types)}",
            "never",
            (_launch(site, "instance", {"StringNotLike": {"ec2:InstanceType": types}}),),
            closing={"StringLike": {"ec2:InstanceType": types}},
        )
    if "images" in restrict.active:
        yield _images(site)
    if restrict.image_tag:
        yield _image_tag_kept(site, restrict.image_tag)
    if restrict.guard_tag:
        yield from _of_guard_tag(site, restrict.guard_tag, permissions)
    yield from _options(site)


def _permissions(site: Site) -> tuple[Permission, ...]:
    catalogue = load_catalogue()
    return (*catalogue.permissions, *catalogue.granted(site.grant.active))


def _base(permissions: Sequence[Permission]) -> PolicyDocument:
    """Return the documented policy, with what the site grants beyond it."""
    documented = render_policy(None, "base").document
    granted = [each.action for each in permissions[len(load_catalogue().permissions) :]]
    if not granted:
        return documented
    statement = {"Effect": "Allow", "Action": granted, "Resource": "*"}
    text = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    more = load_policy(json.loads(text), "granted").statements
    return PolicyDocument((*documented.statements, *more), documented.version, name="base")


def _regions(restrict: Restrictions, permissions: Sequence[Permission]) -> Promise:
    regions = list(restrict.regions)
    key = "aws:RequestedRegion"
    # What AWS answers the same everywhere (DescribeRegions) is asked of any region.
    regional = tuple(each.action for each in permissions if not each.any_region)
    return Promise(
        "regions",
        f"nothing is done outside {_listed(regions)}",
        "never",
        (Shape(regional, conditions={"StringNotEquals": {key: regions}}),),
        closing={"StringEquals": {key: regions}},
    )


def _images(site: Site) -> Promise:
    """Promise that only the site's images are launched: listed ones, by owner, or by tag."""
    restrict = site.restrict
    elsewhere: dict[str, Any] = {}
    if restrict.images:
        elsewhere["aws:RequestedRegion"] = list(restrict.images)
    if restrict.image_owners:
        elsewhere["ec2:Owner"] = list(restrict.image_owners)
    if restrict.image_tag:
        elsewhere[f"aws:ResourceTag/{restrict.image_tag.key}"] = restrict.image_tag.value
    closing: Conditions = {}
    if restrict.image_owners and not restrict.images and not restrict.image_tag:
        closing = {"StringEquals": {"ec2:Owner": list(restrict.image_owners)}}
    return Promise(
        "images",
        "no image is launched that the site does not name",
        "never",
        (*_unlisted(site), _launch(site, "image", {"StringNotEquals": elsewhere})),
        closing=closing,
    )


def _image_tag_kept(site: Site, tag: Tag) -> Promise:
    """Promise that no image is made one of the site's: whoever sets the tag decides which are."""
    images = f"arn:{site.partition}:ec2:*:*:image/*"
    given: Conditions = {"StringEquals": {f"aws:RequestTag/{tag.key}": tag.value}}
    return Promise(
        "images-not-tagged",
        "no image is given the tag by which images are allowed",
        "never",
        (Shape(("ec2:CreateTags",), (images,), _merged(given, LATER)),),
    )


def _unlisted(site: Site) -> Iterator[Shape]:
    """Yield the launches, where images are listed, of one that is not.

    A policy may test the ARN or ec2:ImageID; as a request has one image, both name an unlisted one.
    An image has another id in every region, so no region needs to be told from another, and no
    partition.
    """
    images = site.restrict.images
    if not images:
        return
    ids = [each for region in images.values() for each in region]
    listed = [f"arn:*:ec2:*::image/{each}" for each in ids]
    others = [f"arn:*:ec2:*:*:{kind}/*" for kind in _launched() if kind != "image"]
    where = {"StringEquals": {"aws:RequestedRegion": list(images)}}
    unlisted: Conditions = {"StringNotEquals": {"ec2:ImageID": ids}}
    yield Shape(RUN, not_resources=(*listed, *others), conditions=_merged(where, unlisted))


def _of_guard_tag(site: Site, tag: Tag, permissions: Sequence[Permission]) -> Iterator[Promise]:
    carried = {"StringEquals": {f"aws:ResourceTag/{tag.key}": tag.value}}
    yield Promise(
        "foreign-operated",
        "no instance without the guard tag is operated, in any number of steps",
        "taken over",
        (Shape(operations(permissions), (instances(site.partition),)),),
        tag=tag,
        closing=carried,
    )
    yield Promise(
        "foreign-retagged",
        "no tag of an instance without the guard tag is changed",
        "never",
        (Shape(TAGGING, (instances(site.partition),), _merged(_without(tag), LATER)),),
        closing=carried,
    )
    yield Promise(
        "guard-tag-kept",
        "no worker loses the guard tag",
        "lost",
        (Shape(TAGGING, (instances(site.partition),)),),
        tag=tag,
        closing={"ForAllValues:StringNotEqualsIgnoreCase": {"aws:TagKeys": [tag.key]}},
    )
    yield Promise(
        "launch-tagged",
        "no instance is launched without the guard tag",
        "never",
        (_launch(site, "instance", {"StringNotEquals": {f"aws:RequestTag/{tag.key}": tag.value}}),),
        closing={"StringEquals": {f"aws:RequestTag/{tag.key}": tag.value}},
    )


def _options(site: Site) -> Iterator[Promise]:
    restrict = site.restrict
    if restrict.subnets:
        subnets = [f"arn:{site.partition}:ec2:*:*:subnet/{each}" for each in restrict.subnets]
        yield _of_option(
            "subnets",
            "no instance is launched into another subnet",
            _other_than("subnet", subnets),
            _launch(site, "network-interface", {"ArnNotLike": {"ec2:Subnet": subnets}}),
        )
    if restrict.security_groups:
        groups = [
            f"arn:{site.partition}:ec2:*:{site.account}:security-group/{each}"
            for each in restrict.security_groups
        ]
        yield _of_option(
            "security-groups",
            "no instance is launched with another security group",
            _other_than("security-group", groups),
        )
    if restrict.imdsv2:
        yield _of_option(
            "imdsv2",
            "no instance is launched whose metadata can be read without a token",
            _launch(site, "instance", {"StringNotEquals": {"ec2:MetadataHttpTokens": "required"}}),
            closing={"StringEquals": {"ec2:MetadataHttpTokens": "required"}},
        )
    if restrict.on_demand_only:
        yield _of_option(
            "on-demand-only",
            "no Spot instance is launched",
            _launch(site, "instance", {"StringNotEquals": {"ec2:InstanceMarketType": "on-demand"}}),
            closing={"StringEquals": {"ec2:InstanceMarketType": "on-demand"}},
        )
    if restrict.encrypted_volumes:
        yield _of_option(
            "encrypted-volumes",
            "no volume is made at launch that is not encrypted",
            _launch(site, "volume", {"BoolIfExists": {"ec2:Encrypted": "false"}}),
            closing={"Bool": {"ec2:Encrypted": "true"}},
        )
    if restrict.mfa_to_terminate:
        absent = {"BoolIfExists": {"aws:MultiFactorAuthPresent": "false"}}
        yield _of_option(
            "mfa-to-terminate",
            "nothing is terminated without MFA",
            Shape(("ec2:TerminateInstances",), conditions=absent),
            closing={"Bool": {"aws:MultiFactorAuthPresent": "true"}},
        )
    if restrict.source_ips:
        yield _from_elsewhere(restrict)
    if site.grant.pass_role:
        yield _passed(site, site.grant.pass_role)


def _from_elsewhere(restrict: Restrictions) -> Promise:
    ranges = list(restrict.source_ips)
    elsewhere: Conditions = {
        "NotIpAddress": {"aws:SourceIp": ranges},
        "BoolIfExists": {"aws:ViaAWSService": "false"},
    }
    return _of_option(
        "source-ips",
        f"nothing is done from outside {_listed(ranges)}",
        Shape(conditions=elsewhere),
        closing={"IpAddress": {"aws:SourceIp": ranges}},
    )


def _passed(site: Site, name: str) -> Promise:
    service = service_principal("ec2", site.partition)
    role = f"arn:{site.partition}:iam::{site.account}:role/{name}"
    other = {"StringNotEquals": {"iam:PassedToService": service}}
    return _of_option(
        "pass-role",
        f"no role but {name} is passed, and to EC2 alone",
        Shape(("iam:PassRole",), not_resources=(role,)),
        Shape(("iam:PassRole",), conditions=other),
        closing={"StringEquals": {"iam:PassedToService": service}},
    )


def _of_option(
    name: str, title: str, *shapes: Shape, closing: Mapping[str, Mapping[str, Any]] | None = None
) -> Promise:
    return Promise(name, title, "never", shapes, closing=closing or {})


def _launch(site: Site, kind: str, conditions: Conditions) -> Shape:
    return Shape(RUN, (f"arn:{site.partition}:ec2:*:*:{kind}/*",), conditions)


def _other_than(kind: str, listed: Sequence[str]) -> Shape:
    """Return the launches that use a resource of *kind* which is not *listed*."""
    others = [f"arn:*:ec2:*:*:{each}/*" for each in _launched() if each != kind]
    return Shape(RUN, not_resources=(*listed, *others))


def _launched() -> tuple[str, ...]:
    """Return the resource types that AWS asks a launch about."""
    from cml_iam.facts import service

    ec2 = service("ec2")
    action = ec2.action("RunInstances") if ec2 else None
    return tuple(each.type for each in action.targets if each.type) if action else ()


def instances(partition: str) -> str:
    """Return the ARN of every instance of a partition; accounts are in one partition alone."""
    return f"arn:{partition}:ec2:*:*:instance/*"


def operations(permissions: Sequence[Permission]) -> tuple[str, ...]:
    """Return the actions that change a running instance: start, stop, terminate."""
    return tuple(
        each.action
        for each in permissions
        if each.access == "Write" and each.service == "ec2" and each.action not in RUN
    )


def _without(tag: Tag) -> Conditions:
    """Return the condition that the resource carries another value of the tag, or none."""
    return {"StringNotEquals": {f"aws:ResourceTag/{tag.key}": tag.value}}


def _merged(*conditions: Mapping[str, Mapping[str, Any]]) -> Conditions:
    merged: Conditions = {}
    for each in conditions:
        for operator, block in each.items():
            merged[operator] = {**merged.get(operator, {}), **block}
    return merged


def _listed(names: Sequence[str]) -> str:
    if len(names) > MAX_LISTED:
        return f"the {len(names)} that the site names"
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last
