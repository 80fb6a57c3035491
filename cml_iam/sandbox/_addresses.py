"""What an instance shows of its network: nothing public before it runs, nothing after its end.

https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/using-instance-addressing.html
https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/how-ec2-instance-termination-works.html
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from cml_iam.sandbox._pages import edited

if TYPE_CHECKING:
    from xml.etree import ElementTree as ET

    from cml_iam.sandbox._wire import Answer

_PUBLIC: Final = frozenset({"ipAddress", "dnsName", "association"})
_NETWORK: Final = _PUBLIC | {
    "groupSet",
    "networkInterfaceSet",
    "privateDnsName",
    "privateIpAddress",
    "subnetId",
    "vpcId",
}
_HIDDEN: Final = {"pending": _PUBLIC, "terminated": _NETWORK}
_PUBLIC_NAME: Final = re.compile(rb"<publicDnsName>ip-([0-9-]+)\.[^<]*</publicDnsName>")
_EMPTY_ASSOCIATION: Final = re.compile(rb"<association\s*/>|<association>\s*</association>")
_EMPTY: Final = frozenset({"groupSet", "networkInterfaceSet"})
"""The lists that are shown empty instead of not at all."""


def with_shown_addresses(answer: Answer) -> Answer:
    """Return the *answer* about instances with what EC2 shows of their networks."""
    if not answer.ok or not any(b">%s<" % each.encode() in answer.body for each in _HIDDEN):
        return answer

    def hide(root: ET.Element, prefix: str) -> None:
        for listed in root.iter(f"{prefix}instancesSet"):
            for instance in listed:
                state = instance.findtext(f"{prefix}instanceState/{prefix}name") or ""
                _hide(instance, {f"{prefix}{each}" for each in _HIDDEN.get(state, ())}, prefix)

    return edited(answer, hide)


def with_public_names(answer: Answer, region: str) -> Answer:
    """Return *answer* with the public names of addresses, and no association where there is none.

    https://docs.aws.amazon.com/vpc/latest/userguide/vpc-dns.html
    """
    if b"association" not in answer.body:
        return answer
    zone = "compute-1" if region == "us-east-1" else f"{region}.compute"
    name = rb"<publicDnsName>ec2-\1.%s.amazonaws.com</publicDnsName>" % zone.encode()
    body = _EMPTY_ASSOCIATION.sub(b"", _PUBLIC_NAME.sub(name, answer.body))
    return replace(answer, body=body)


def _hide(element: ET.Element, names: set[str], prefix: str) -> None:
    for each in list(element):
        if each.tag not in names:
            _hide(each, names, prefix)
        elif each.tag.removeprefix(prefix) in _EMPTY:
            each.clear()
        else:
            element.remove(each)
