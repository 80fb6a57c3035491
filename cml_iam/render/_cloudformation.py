"""The policy and its principal as a CloudFormation template."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from cml_iam.render._pages import ANCHOR, DESCRIPTION, TAGS, makes_anchor, trust_document
from cml_iam.tag import as_aws

if TYPE_CHECKING:
    from cml_iam.render._pages import Part
    from cml_iam.site import Site, Trust


def as_cloudformation(site: Site, parts: tuple[Part, ...], trust: Trust) -> str:
    """Return a template that has the same meaning in any account and partition.

    Account and partition are CloudFormation's pseudo parameters, so that one template serves a
    StackSet of many accounts.
    """
    principal = _cfn_role(site, trust) if site.role else _cfn_user(site)
    logical = {part.label: f"Policy{number}" for number, part in enumerate(parts, start=1)}
    attached = {"Ref": "Role" if site.role else "User"}
    resources: dict[str, Any] = dict(principal)
    for part in parts:
        resources[logical[part.label]] = {
            "Type": "AWS::IAM::ManagedPolicy",
            "Properties": {
                "ManagedPolicyName": part.name,
                "Description": DESCRIPTION,
                "PolicyDocument": anywhere(json.loads(part.rendered.text), site),
                "Roles" if site.role else "Users": [attached],
            },
        }
    template = {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": f"{DESCRIPTION}. Written by cml-iam; for a StackSet, in one region.",
        "Parameters": {
            "PermissionsBoundary": {
                "Type": "String",
                "Default": "",
                "Description": "ARN of a permissions boundary for the principal.",
            },
            **({"CaCertificate": _CA_CERTIFICATE} if "TrustAnchor" in principal else {}),
        },
        "Conditions": {
            "HasBoundary": {"Fn::Not": [{"Fn::Equals": [{"Ref": "PermissionsBoundary"}, ""]}]}
        },
        "Resources": resources,
        "Outputs": {
            "PrincipalArn": {"Value": {"Fn::GetAtt": [attached["Ref"], "Arn"]}},
            "PolicyArns": {
                "Value": {"Fn::Join": [",", [{"Ref": name} for name in logical.values()]]}
            },
        },
    }
    return json.dumps(template, indent=2) + "\n"


_BOUNDARY: Final = {
    "Fn::If": ["HasBoundary", {"Ref": "PermissionsBoundary"}, {"Ref": "AWS::NoValue"}]
}
_CFN_TAGS: Final = as_aws(TAGS)


def _cfn_user(site: Site) -> dict[str, Any]:
    properties = {
        "UserName": site.user,
        **_path(site),
        "PermissionsBoundary": _BOUNDARY,
        "Tags": _CFN_TAGS,
    }
    return {"User": {"Type": "AWS::IAM::User", "Properties": properties}}


def _cfn_role(site: Site, trust: Trust) -> dict[str, Any]:
    document = json.loads(trust_document(site, trust).text)
    properties = {
        "RoleName": site.role,
        **_path(site),
        "AssumeRolePolicyDocument": anywhere(document, site),
        "PermissionsBoundary": _BOUNDARY,
        "Tags": _CFN_TAGS,
    }
    made: dict[str, Any] = {"Role": {"Type": "AWS::IAM::Role", "Properties": properties}}
    if trust == "ec2":
        profile = {"InstanceProfileName": site.role, **_path(site), "Roles": [{"Ref": "Role"}]}
        made["InstanceProfile"] = {"Type": "AWS::IAM::InstanceProfile", "Properties": profile}
    if trust == "roles-anywhere":
        made["Profile"] = _anywhere_profile(site)
    if makes_anchor(site, trust):
        made["TrustAnchor"] = _trust_anchor(site)
    return made


def _anywhere_profile(site: Site) -> dict[str, Any]:
    roles = [{"Fn::GetAtt": ["Role", "Arn"]}]
    properties = {"Name": site.role, "Enabled": True, "RoleArns": roles, "Tags": _CFN_TAGS}
    return {"Type": "AWS::RolesAnywhere::Profile", "Properties": properties}


def _trust_anchor(site: Site) -> dict[str, Any]:
    source = {
        "SourceType": "CERTIFICATE_BUNDLE",
        "SourceData": {"X509CertificateData": {"Ref": "CaCertificate"}},
    }
    properties = {"Name": site.role, "Enabled": True, "Source": source, "Tags": _CFN_TAGS}
    return {"Type": "AWS::RolesAnywhere::TrustAnchor", "Properties": properties}


_CA_CERTIFICATE: Final = {
    "Type": "String",
    "Description": "Certificate of the authority that issues the manager's certificate, in PEM.",
}


def _path(site: Site) -> dict[str, str]:
    return {"Path": site.path} if site.path != "/" else {}


def anywhere(value: Any, site: Site, region: str | None = None) -> Any:
    """Return *value* with pseudo parameters for account, partition and *region* in its ARNs."""
    if isinstance(value, dict):
        return {key: _member(key, each, site, region) for key, each in value.items()}
    if isinstance(value, list):
        return [anywhere(each, site, region) for each in value]
    if value == ANCHOR:
        return {"Fn::GetAtt": ["TrustAnchor", "TrustAnchorArn"]}
    if not isinstance(value, str) or not value.startswith(f"arn:{site.partition}:"):
        return value
    text = value.replace("${", "${!").replace(f":{site.account}:", ":${AWS::AccountId}:")
    if region:
        text = text.replace(f":{region}:", ":${AWS::Region}:")
    return {"Fn::Sub": "arn:${AWS::Partition}:" + text.removeprefix(f"arn:{site.partition}:")}


def _member(key: str, value: Any, site: Site, region: str | None) -> Any:
    if key == "aws:SourceAccount" and value == site.account:
        return {"Ref": "AWS::AccountId"}
    return anywhere(value, site, region)
