"""CML Cloud Manager's AWS clients, with its method names, arguments and result attributes.

The application adopts them by changing its import lines; see docs/cloud-manager.md. They use
`AsyncWorkerManager`, so clients are reused, every page of a response is read, and each refusal
comes with a remedy.
"""

from cml_iam.cloud_manager._client import (
    AmiDetails,
    Credentials,
    Ec2Metrics,
    Exceptions,
    Instance,
    InstanceDetails,
    InstanceState,
    ResourcesUtilization,
)
from cml_iam.cloud_manager._clients import AwsCloudWatchSpiClient, AwsEc2Client, AwsEc2SpiClient
from cml_iam.tag import Tag
from cml_iam.workers import Launch

__all__ = [
    "AmiDetails",
    "AwsCloudWatchSpiClient",
    "AwsEc2Client",
    "AwsEc2SpiClient",
    "Credentials",
    "Ec2Metrics",
    "Exceptions",
    "Instance",
    "InstanceDetails",
    "InstanceState",
    "Launch",
    "ResourcesUtilization",
    "Tag",
]
