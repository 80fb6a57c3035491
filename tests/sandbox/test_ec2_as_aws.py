"""EC2 says what AWS says: codes, words, names and tags where moto says something else."""

from __future__ import annotations

import re
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.sandbox.conftest import Identity, launch, refused, send
from tests.sandbox.documents import IMAGE


def described(ec2: Any, instance: str) -> dict[str, Any]:
    (reservation,) = ec2.describe_instances(InstanceIds=[instance])["Reservations"]
    return dict(reservation["Instances"][0])


def test_a_launch_template_marks_what_it_launched(ec2: Any) -> None:
    """https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-tagging.html"""
    made = ec2.create_launch_template(
        LaunchTemplateName="marked",
        LaunchTemplateData={"ImageId": IMAGE, "InstanceType": "c5.large"},
    )["LaunchTemplate"]
    answer = ec2.run_instances(
        MinCount=1, MaxCount=1, LaunchTemplate={"LaunchTemplateName": "marked"}
    )["Instances"][0]
    marks = {
        "aws:ec2launchtemplate:id": made["LaunchTemplateId"],
        "aws:ec2launchtemplate:version": "1",
    }

    assert {tag["Key"]: tag["Value"] for tag in answer["Tags"]} == marks
    tags = described(ec2, answer["InstanceId"])["Tags"]
    assert {tag["Key"]: tag["Value"] for tag in tags} == marks


def test_a_launch_template_to_modify_is_named_once(ec2: Any) -> None:
    """The words are those that moto's test `test_modify_launch_template_by_name_and_id` found."""
    with pytest.raises(ClientError) as caught:
        ec2.modify_launch_template(
            LaunchTemplateId="lt-0a", LaunchTemplateName="marked", DefaultVersion="2"
        )

    assert caught.value.response["Error"] == {
        "Code": "InvalidParameterCombination",
        "Message": "Either provide launch template ID or launch template name to modify the "
        "template.",
    }


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({}, "UnsupportedOperation"),
        ({"SpotOptions": {"SpotInstanceType": "one-time"}}, "UnsupportedOperation"),
        ({"SpotOptions": {"SpotInstanceType": "persistent"}}, None),
    ],
)
def test_a_one_time_spot_instance_is_not_stopped(
    options: dict[str, Any], code: str | None, ec2: Any
) -> None:
    """https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-interruptions.html"""
    spot = launch(ec2, InstanceMarketOptions={"MarketType": "spot", **options})

    if code is None:
        assert ec2.stop_instances(InstanceIds=[spot])["StoppingInstances"]
    else:
        said = refused(ec2.stop_instances, InstanceIds=[spot])
        assert (said.code, "one-time Spot Instance request" in said.message) == (code, True)
    ec2.terminate_instances(InstanceIds=[spot])


def test_a_private_address_is_one_of_the_subnet(ec2: Any) -> None:
    subnet = ec2.describe_subnets()["Subnets"][0]
    named = {"SubnetId": subnet["SubnetId"]}
    inside = subnet["CidrBlock"].rpartition(".")[0] + ".77"

    for outside in ("10.99.0.5", "nonsense"):
        said = refused(launch, ec2=ec2, PrivateIpAddress=outside, **named)
        assert (said.code, said.status) == ("InvalidParameterValue", 400)
        interface = [{"DeviceIndex": 0, "PrivateIpAddress": outside, **named}]
        assert refused(launch, ec2=ec2, NetworkInterfaces=interface).code == said.code
    made = launch(ec2, PrivateIpAddress=inside, **named)
    assert described(ec2, made)["PrivateIpAddress"] == inside


@pytest.mark.parametrize("action", ["start", "stop", "terminate", "reboot"])
def test_no_instances_are_no_instances(action: str, ec2: Any) -> None:
    said = refused(getattr(ec2, f"{action}_instances"), InstanceIds=[])

    assert (said.code, said.message) == (
        "InvalidParameterCombination",
        "No instances specified",
    )


def test_no_resources_to_tag_are_missing(ec2: Any) -> None:
    said = refused(ec2.create_tags, Resources=[], Tags=[{"Key": "a", "Value": "b"}])

    assert said.code == "MissingParameter"
    assert said.message == "The request must contain the parameter resourceIdSet"


def test_a_malformed_id_is_told_with_what_was_expected(ec2: Any) -> None:
    words = {"foo": 'Invalid id: "foo" (expecting "i-...")', "i-foo": 'Invalid id: "i-foo"'}
    for given, said in words.items():
        answer = refused(ec2.describe_instances, InstanceIds=[given])
        assert (answer.code, answer.message) == ("InvalidInstanceID.Malformed", said)
    answer = refused(ec2.describe_images, ImageIds=["foo"])
    assert answer.message == 'Invalid id: "foo" (expecting "ami-...")'


@pytest.mark.parametrize(
    ("service", "body"),
    [
        ("ec2", "Action=DescribeInstances"),
        ("ec2", "Action=DescribeVpcs"),
        ("ec2", "Action=Nonesuch"),
        ("iam", "Action=ListUsers"),
        ("sts", "Action=GetCallerIdentity"),
        ("sns", "Action=ListTopics"),
    ],
)
def test_every_answer_has_an_id_of_its_own(service: str, body: str, root: Identity) -> None:
    found = set()
    for _ in range(2):
        _, answer = send(root, service, body)
        assert answer.lower().count("x-amzn-requestid") == 1
        within = re.findall("<[rR]equest(?:Id|ID)>([0-9a-f-]{36})<", answer)
        found |= {re.findall("x-amzn-RequestId: ([0-9a-f-]{36})", answer)[0], *within}

    assert len(found) == 2, "the header and the body agree, two answers do not"


def test_a_public_address_has_a_public_name_or_there_is_no_association(ec2: Any) -> None:
    """https://docs.aws.amazon.com/vpc/latest/userguide/vpc-dns.html"""
    made = launch(ec2)
    address = described(ec2, made)["PublicIpAddress"]
    bare = ec2.create_network_interface(SubnetId=ec2.describe_subnets()["Subnets"][0]["SubnetId"])
    interfaces = ec2.describe_network_interfaces()["NetworkInterfaces"]
    by_address = {
        interface["Association"]["PublicIp"]: interface["Association"]["PublicDnsName"]
        for interface in interfaces
        if "Association" in interface
    }

    assert by_address[address] == f"ec2-{address.replace('.', '-')}.compute-1.amazonaws.com"
    name = bare["NetworkInterface"]["NetworkInterfaceId"]
    (own,) = (interface for interface in interfaces if interface["NetworkInterfaceId"] == name)
    assert "Association" not in own
