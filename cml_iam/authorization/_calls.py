"""The authorizations of calls that name what they act on."""

from __future__ import annotations

from cml_iam.authorization._caller import Caller, Tags, call_context
from cml_iam.authorization._resources import (
    Instance,
    Resource,
    instance_arn,
    instance_keys,
    resource_arn,
    resource_tags,
    tag_request,
)
from cml_iam.engine import Request


def describe(caller: Caller, action: str, region: str) -> tuple[Request, ...]:
    """Return the one authorization of a call that takes no resource, such as a Describe."""
    return (Request(action, "*", caller.arn, call_context(caller, action, region)),)


def operate(caller: Caller, action: str, instance: Instance) -> tuple[Request, ...]:
    """Return the authorization of *action* (Start, Stop, Terminate) on *instance*."""
    context = call_context(caller, action, instance.region) | instance_keys(instance)
    return (Request(action, instance_arn(caller, instance), caller.arn, context),)


def retag(
    caller: Caller, action: str, instance: Instance, keys: Tags | tuple[str, ...]
) -> tuple[Request, ...]:
    """Return the authorization of CreateTags or DeleteTags on *instance*.

    *keys* are the tags to set, or the keys to delete; a DeleteTags without any (which deletes
    all tags) has no `aws:TagKeys` at all.
    """
    context = (
        call_context(caller, action, instance.region) | instance_keys(instance) | tag_request(keys)
    )
    return (Request(action, instance_arn(caller, instance), caller.arn, context),)


def use(
    caller: Caller, action: str, resource: Resource, keys: Tags | tuple[str, ...] = ()
) -> tuple[Request, ...]:
    """Return the authorization of *action* on a *resource* of any kind.

    *keys* are the tags of the request, or the tag keys, as in `retag`.
    """
    context = call_context(caller, action, resource.region) | resource_tags(resource.tags)
    return (
        Request(action, resource_arn(caller, resource), caller.arn, context | tag_request(keys)),
    )


def tag_on_create(
    caller: Caller, create_action: str, resource: Resource, tags: Tags
) -> tuple[Request, ...]:
    """Return the ec2:CreateTags that EC2 asks for while *create_action* makes *resource*.

    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/supported-iam-actions-tagging.html
    """
    return tuple(
        each._replace(context={**each.context, "ec2:CreateAction": create_action})
        for each in use(caller, "ec2:CreateTags", resource, tags)
    )
