"""The workers of the benchmark, and what AWS answers about them, byte for byte prebuilt."""

from __future__ import annotations

import json
import time
from functools import cache

REGIONS = ("us-east-1", "us-west-2", "eu-west-1", "ap-southeast-2")
ACCOUNT = "111122223333"
IMAGE = "ami-0a1b2c3d4e5f60001"
TYPE = "m5zn.metal"
PAGE = 500

_INSTANCE = """
<item><reservationId>r-{n:017x}</reservationId><ownerId>{account}</ownerId><groupSet/>
<instancesSet><item><instanceId>{id}</instanceId><imageId>{image}</imageId><instanceState>
<code>{code}</code><name>{state}</name></instanceState><privateDnsName>{host}</privateDnsName>
<dnsName>ec2-{dash}.{region}.compute.amazonaws.com</dnsName><reason/><keyName>operations</keyName>
<amiLaunchIndex>0</amiLaunchIndex><productCodes/><instanceType>{type}</instanceType>
<launchTime>2026-03-01T08:00:00.000Z</launchTime><placement><availabilityZone>{region}a
</availabilityZone><groupName/><tenancy>default</tenancy></placement><monitoring><state>disabled
</state></monitoring><subnetId>subnet-{subnet:017x}</subnetId><vpcId>vpc-0a1b2c3d4e5f60001</vpcId>
<privateIpAddress>{ip}</privateIpAddress><ipAddress>198.51.100.{low}</ipAddress>
<sourceDestCheck>true</sourceDestCheck><groupSet><item><groupId>sg-0a1b2c3d4e5f60001</groupId>
<groupName>cml</groupName></item></groupSet><architecture>x86_64</architecture><rootDeviceType>ebs
</rootDeviceType><rootDeviceName>/dev/sda1</rootDeviceName><blockDeviceMapping><item>
<deviceName>/dev/sda1</deviceName><ebs><volumeId>vol-{n:017x}</volumeId><status>attached</status>
<attachTime>2026-03-01T08:00:01.000Z</attachTime><deleteOnTermination>true</deleteOnTermination>
</ebs></item></blockDeviceMapping><virtualizationType>hvm</virtualizationType>
<clientToken>{n:032x}</clientToken><tagSet><item><key>Name</key><value>cml-worker-{n:05d}</value>
</item><item><key>ManagedBy</key><value>lablet-cloud-manager</value></item><item><key>Team</key>
<value>network-lab</value></item><item><key>Environment</key><value>production</value></item>
</tagSet><hypervisor>xen</hypervisor><networkInterfaceSet><item><networkInterfaceId>eni-{n:017x}
</networkInterfaceId><subnetId>subnet-{subnet:017x}</subnetId><vpcId>vpc-0a1b2c3d4e5f60001</vpcId>
<description/><ownerId>{account}</ownerId><status>in-use</status>
<macAddress>02:00:00:00:{low:02x}:01</macAddress><privateIpAddress>{ip}</privateIpAddress>
<privateDnsName>{host}</privateDnsName><sourceDestCheck>true</sourceDestCheck><groupSet><item>
<groupId>sg-0a1b2c3d4e5f60001</groupId><groupName>cml</groupName></item></groupSet><attachment>
<attachmentId>eni-attach-{n:017x}</attachmentId><deviceIndex>0</deviceIndex><status>attached
</status><attachTime>2026-03-01T08:00:00.000Z</attachTime><deleteOnTermination>true
</deleteOnTermination><networkCardIndex>0</networkCardIndex></attachment><association>
<publicIp>198.51.100.{low}</publicIp><publicDnsName>ec2-{dash}.{region}.compute.amazonaws.com
</publicDnsName><ipOwnerId>amazon</ipOwnerId></association><privateIpAddressesSet><item>
<privateIpAddress>{ip}</privateIpAddress><privateDnsName>{host}</privateDnsName><primary>true
</primary><association><publicIp>198.51.100.{low}</publicIp>
<publicDnsName>ec2-{dash}.{region}.compute.amazonaws.com</publicDnsName><ipOwnerId>amazon
</ipOwnerId></association></item></privateIpAddressesSet><ipv6AddressesSet/>
<interfaceType>interface</interfaceType></item></networkInterfaceSet><iamInstanceProfile>
<arn>arn:aws:iam::{account}:instance-profile/cml-worker</arn><id>AIPAEXAMPLE</id>
</iamInstanceProfile><ebsOptimized>true</ebsOptimized><cpuOptions><coreCount>24</coreCount>
<threadsPerCore>2</threadsPerCore></cpuOptions><capacityReservationSpecification>
<capacityReservationPreference>open</capacityReservationPreference>
</capacityReservationSpecification><hibernationOptions><configured>false</configured>
</hibernationOptions><enclaveOptions><enabled>false</enabled></enclaveOptions><metadataOptions>
<state>applied</state><httpTokens>required</httpTokens><httpPutResponseHopLimit>2
</httpPutResponseHopLimit><httpEndpoint>enabled</httpEndpoint><httpProtocolIpv6>disabled
</httpProtocolIpv6><instanceMetadataTags>disabled</instanceMetadataTags></metadataOptions>
<maintenanceOptions><autoRecovery>default</autoRecovery></maintenanceOptions>
<platformDetails>Linux/UNIX</platformDetails><usageOperation>RunInstances</usageOperation>
<usageOperationUpdateTime>2026-03-01T08:00:00.000Z</usageOperationUpdateTime>
<privateDnsNameOptions><hostnameType>ip-name</hostnameType><enableResourceNameDnsARecord>false
</enableResourceNameDnsARecord><enableResourceNameDnsAAAARecord>false
</enableResourceNameDnsAAAARecord></privateDnsNameOptions></item></instancesSet></item>
""".replace("\n", "")
_NAMESPACE = "http://ec2.amazonaws.com/doc/2016-11-15/"


def worker_id(number: int) -> str:
    """Return the id of worker *number*; its region is the one whose turn it is."""
    return f"i-{number:017x}"


def number_of(instance_id: str) -> int:
    return int(instance_id[2:], 16)


def region_of(number: int) -> str:
    return REGIONS[number % len(REGIONS)]


def in_region(region: str, workers: int) -> range:
    """Return the numbers of the workers in *region*."""
    return range(REGIONS.index(region), workers, len(REGIONS))


def instance(number: int, state: str = "running") -> str:
    """Return the instance as an item of a DescribeInstances answer, as long as EC2's own."""
    region, low = region_of(number), number % 250 + 1
    dash = f"10-0-{number // 250 % 250}-{low}"
    return _INSTANCE.format(
        n=number,
        id=worker_id(number),
        account=ACCOUNT,
        image=IMAGE,
        type=TYPE,
        state=state,
        code={"running": 16, "stopped": 80}[state],
        region=region,
        dash=dash,
        low=low,
        subnet=number % len(REGIONS),
        ip=dash.replace("-", "."),
        host=f"ip-{dash}.{region}.compute.internal",
    )


@cache
def page(region: str, start: int, size: int, workers: int, state: str) -> bytes:
    """Return *size* instances of *region* from its *start*th on, and the token of the next."""
    numbers = in_region(region, workers)
    items = "".join(instance(number, state) for number in numbers[start : start + size])
    more = f"<nextToken>{start + size}</nextToken>" if start + size < len(numbers) else ""
    return _described(items, more)


@cache
def single(number: int, state: str) -> bytes:
    """Return the answer about one instance."""
    return _described(instance(number, state), "")


def _described(items: str, more: str) -> bytes:
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><DescribeInstancesResponse xmlns="{_NAMESPACE}">'
        f"<requestId>r</requestId><reservationSet>{items}</reservationSet>{more}"
        "</DescribeInstancesResponse>"
    ).encode()


def started(ids: list[str]) -> bytes:
    items = "".join(
        f"<item><instanceId>{each}</instanceId><currentState><code>0</code><name>pending</name>"
        "</currentState><previousState><code>80</code><name>stopped</name></previousState></item>"
        for each in ids
    )
    return (
        f'<StartInstancesResponse xmlns="{_NAMESPACE}"><requestId>r</requestId>'
        f"<instancesSet>{items}</instancesSet></StartInstancesResponse>"
    ).encode()


THROTTLED = (
    b"<Response><Errors><Error><Code>RequestLimitExceeded</Code><Message>Request limit exceeded."
    b"</Message></Error></Errors><RequestID>r</RequestID></Response>"
)


def has_points(metric: str, dimensions: list[dict]) -> bool:
    """Say whether there is such a metric: memory only under the agent's default dimensions."""
    names = sorted(dimension["Name"] for dimension in dimensions)
    if metric == "mem_used_percent":
        return names == ["ImageId", "InstanceId", "InstanceType"]
    return names == ["InstanceId"]


def statistics(metric: str, dimensions: list[dict]) -> bytes:
    """Return what GetMetricStatistics answers in JSON: three points, in disorder."""
    newest = int(time.time()) // 300 * 300
    points = [
        {
            "Timestamp": newest - 300 * age,
            "Average": 20.0 + age,
            "Maximum": 30.0 + age,
            "SampleCount": 5.0,
            "Unit": "Percent",
        }
        for age in (2, 1, 3)
    ]
    found = points if has_points(metric, dimensions) else []
    return json.dumps({"Label": metric, "Datapoints": found}).encode()


_VALUES = {
    "Average": [23.0, 22.0, 21.0],
    "Maximum": [33.0, 32.0, 31.0],
    "SampleCount": [5.0, 5.0, 5.0],
}


def data(queries: list[dict]) -> bytes:
    """Return what GetMetricData answers in JSON."""
    newest = int(time.time()) // 300 * 300
    times = [newest - 900, newest - 600, newest - 300]
    results = []
    for query in queries:
        metric = query["MetricStat"]["Metric"]
        known = has_points(metric["MetricName"], metric["Dimensions"])
        results.append(
            {
                "Id": query["Id"],
                "Label": metric["MetricName"],
                "StatusCode": "Complete",
                "Timestamps": times if known else [],
                "Values": _VALUES[query["MetricStat"]["Stat"]] if known else [],
            }
        )
    return json.dumps({"MetricDataResults": results, "Messages": []}).encode()
