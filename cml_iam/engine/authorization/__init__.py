"""The authorizations that AWS requests for a call, with their resources and contexts.

IAM never sees an API call. It sees only the authorizations that the service requests: for
RunInstances, one for each resource that it uses or creates, with the condition keys of that
resource's type. A call succeeds if all of its authorizations are allowed.

https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2.html
https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/iam-policy-structure.html
https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/supported-iam-actions-tagging.html
"""

from cml_iam.engine.authorization._calls import (
    CREATED,
    Caller,
    Context,
    Image,
    Instance,
    Launch,
    Resource,
    Tags,
    describe,
    operate,
    resource_arn,
    retag,
    tag_on_create,
    tag_request,
    use,
)
from cml_iam.engine.authorization._launch import launch

__all__ = [
    "CREATED",
    "Caller",
    "Context",
    "Image",
    "Instance",
    "Launch",
    "Resource",
    "Tags",
    "describe",
    "launch",
    "operate",
    "resource_arn",
    "retag",
    "tag_on_create",
    "tag_request",
    "use",
]
