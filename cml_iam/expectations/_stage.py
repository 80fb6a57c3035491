"""The cast of the expectations: a worker, a foreign instance, another region, another image.

Chosen so that each breaks one restriction of the site and no other; with ids that read as what
they are, because people see them as witnesses.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from ipaddress import ip_address, ip_network
from typing import Final

from cml_iam.authorization import Caller, Image, Instance, Launch
from cml_iam.facts import EXAMPLE_REGIONS, OTHER_ACCOUNT
from cml_iam.policy import pattern_matches
from cml_iam.site import Site, Tag

DEFAULT_TAG: Final = Tag("ManagedBy", "cml-cloud-manager")
"""The tag that stands for "managed" where the site restricts by none."""

_GROUPS: Final = ("sg-0a1b2c3d4e5f60001", "sg-0a1b2c3d4e5f60002")
_ADDRESSES: Final = ("198.51.100.66", "192.0.2.66", "8.8.8.8")
_TYPES: Final = ("t2.micro", "p5.48xlarge", "u-24tb1.metal", "mac2.metal", "x1e.32xlarge")


@dataclass(frozen=True, slots=True)
class Stage:
    """What the expectations of one site are played with."""

    site: Site
    caller: Caller

    @classmethod
    def of(cls, site: Site) -> Stage:
        """Return the stage of *site*, its principal calling: for a role, a session of it."""
        mfa = site.restrict.mfa_to_terminate or None
        addresses = _addresses(site) or ("203.0.113.10",)
        return cls(site, Caller(_session_arn(site), source_ip=addresses[0], mfa=mfa))

    @property
    def tag(self) -> Tag:
        """The guard tag, or what would be it."""
        return self.site.restrict.guard_tag or DEFAULT_TAG

    @property
    def regions(self) -> tuple[str, ...]:
        """The regions the manager works in."""
        return self.site.restrict.regions or (self.site.home_region,)

    @property
    def launch_regions(self) -> tuple[str, ...]:
        """The regions to launch in: with listed images, and without where owners decide."""
        restrict = self.site.restrict
        known = EXAMPLE_REGIONS[self.site.partition]
        regions = restrict.regions or tuple(dict.fromkeys((*restrict.images, *known)))
        listed = tuple(each for each in regions if each in restrict.images)
        others = tuple(each for each in regions if each not in restrict.images)
        if restrict.images and not restrict.other_images:
            return listed
        return listed + (others if restrict.regions else others[:1])

    @property
    def other_regions(self) -> tuple[str, ...]:
        """Regions of the partition in which the manager does not work."""
        known = EXAMPLE_REGIONS[self.site.partition]
        return tuple(each for each in known if each not in self.site.restrict.regions)[:1]

    def worker(self, region: str) -> Instance:
        """Return a running worker in *region*."""
        return self._instance("i-0a1b2c3d4e5f60001", region, {self.tag.key: self.tag.value})

    def foreign(self, region: str) -> Instance:
        """Return another team's instance: the guard tag's key with another value."""
        return self._instance("i-0f04e190000000002", region, {self.tag.key: "another-team"})

    def untagged(self, region: str) -> Instance:
        """Return an instance without the guard tag."""
        return self._instance("i-0bad7a90000000003", region, {"Name": "database"})

    def launch(self, region: str) -> Launch:
        """Return a launch as the manager does it: allowed image and type, tagged."""
        tags = {self.tag.key: self.tag.value, "Name": "cml-worker-01"}
        restrict = self.site.restrict
        return Launch(
            region=region,
            account=self.site.account,
            image=self.image(region),
            instance_type=_concrete(next(iter(self.site.restrict.instance_types), "c5.2xlarge")),
            tags={"instance": tags, "volume": tags},
            subnet=next(iter(restrict.subnets), "subnet-0a1b2c3d4e5f60001"),
            security_groups=restrict.security_groups or _GROUPS,
            metadata_tokens="required" if restrict.imdsv2 else "",
            encrypted=True if restrict.encrypted_volumes else None,
        )

    def launches(self, region: str) -> tuple[Launch, ...]:
        """Return a launch for every instance type and image the site lists, and one with a key."""
        usual = self.launch(region)
        types = self.site.restrict.instance_types
        return (
            replace(usual, key_name="cml-admin"),
            *(replace(usual, subnet=each) for each in self.site.restrict.subnets[1:]),
            replace(usual, tags={**usual.tags, "network-interface": usual.tags["instance"]}),
            *(replace(usual, instance_type=_concrete(each)) for each in types),
            *(replace(usual, image=each) for each in self.images(region)),
        )

    def image(self, region: str) -> Image:
        """Return an image that may be launched in *region*."""
        restrict = self.site.restrict
        listed = restrict.images.get(region)
        if listed:
            return Image(listed[0], self.site.account)
        owner = next(iter(restrict.image_owners), self.site.account)
        return Image("ami-0a11009ed00000001", owner, tags=self.image_tags)

    def images(self, region: str) -> tuple[Image, ...]:
        """Return an image for every way by which one may be launched in *region*."""
        restrict = self.site.restrict
        if restrict.images.get(region):
            # Whoever owns it: a listed image needs no listed owner.
            return tuple(Image(each, OTHER_ACCOUNT) for each in restrict.images[region])
        owned = tuple(Image("ami-0a11009ed00000001", each) for each in restrict.image_owners)
        tags = self.image_tags
        return owned + ((Image("ami-0a11009ed00000002", OTHER_ACCOUNT, tags=tags),) if tags else ())

    def other_images(self, region: str) -> tuple[Image, ...]:
        """Return images that may not be launched in *region* where images are restricted."""
        restrict = self.site.restrict
        public = Image("ami-0f04e190000000002", OTHER_ACCOUNT, public=True)
        own = Image("ami-00bad0bad0bad0003", self.site.account, tags=self._mistagged())
        if region in restrict.images or self.site.account not in restrict.image_owners:
            return public, own
        return (public,)

    @property
    def image_tags(self) -> dict[str, str]:
        """The tag that admits an image, if one does."""
        tag = self.site.restrict.image_tag
        return {tag.key: tag.value} if tag else {}

    def _mistagged(self) -> dict[str, str]:
        tag = self.site.restrict.image_tag
        return {tag.key: "not-" + tag.value} if tag else {}

    @property
    def addresses(self) -> tuple[str, ...]:
        """An address in each of the ranges the manager may call from."""
        return _addresses(self.site)

    @property
    def other_address(self) -> str | None:
        """An address the manager may not call from; None where all are allowed."""
        allowed = [ip_network(each, strict=False) for each in self.site.restrict.source_ips]
        outside = (a for a in _ADDRESSES if not any(ip_address(a) in each for each in allowed))
        return next(outside, None)

    @property
    def other_type(self) -> str | None:
        """An instance type that the site does not list; None where it lists them all."""
        patterns = self.site.restrict.instance_types
        outside = (t for t in _TYPES if not any(pattern_matches(p, t) for p in patterns))
        return next(outside, None)

    def _instance(self, name: str, region: str, tags: dict[str, str]) -> Instance:
        kind = self.launch(region).instance_type
        return Instance(name, region, self.site.account, kind, tags)


def _addresses(site: Site) -> tuple[str, ...]:
    ranges = (ip_network(each, strict=False) for each in site.restrict.source_ips)
    return tuple(str(each[0]) for each in ranges)


def _session_arn(site: Site) -> str:
    if not site.role:
        return site.principal_arn
    return f"arn:{site.partition}:sts::{site.account}:assumed-role/{site.role}/cml-cloud-manager"


def _concrete(pattern: str) -> str:
    """Return an instance type that *pattern* matches."""
    family, _, size = pattern.partition(".")
    return ".".join(
        (
            family.replace("*", "m5").replace("?", "5"),
            size.replace("*", "large" if size == "*" else "").replace("?", "2"),
        )
    )
