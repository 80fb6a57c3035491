"""Answers of AWS as they come over the wire."""

from secrets import token_urlsafe

CALLER = """<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
<GetCallerIdentityResult><Arn>arn:aws:iam::111122223333:user/cml-cloud-manager-service</Arn>
<UserId>AIDAEXAMPLE</UserId><Account>111122223333</Account></GetCallerIdentityResult>
<ResponseMetadata><RequestId>1</RequestId></ResponseMetadata></GetCallerIdentityResponse>"""

REGIONS = """<DescribeRegionsResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/">
<requestId>1</requestId><regionInfo><item><regionName>us-east-1</regionName>
<regionEndpoint>ec2.us-east-1.amazonaws.com</regionEndpoint></item></regionInfo>
</DescribeRegionsResponse>"""


def ec2_error(code: str, message: str) -> str:
    return (
        f"<Response><Errors><Error><Code>{code}</Code><Message>{message}</Message></Error></Errors>"
        "<RequestID>1</RequestID></Response>"
    )


def iam_error(code: str, message: str) -> str:
    return (
        '<ErrorResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><Error>'
        f"<Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>"
        "<RequestId>1</RequestId></ErrorResponse>"
    )


def instances(*ids: str, more: str = "") -> str:
    items = "".join(f"<item><instanceId>{each}</instanceId></item>" for each in ids)
    token = f"<nextToken>{more}</nextToken>" if more else ""
    return (
        '<DescribeInstancesResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/">'
        f"<requestId>1</requestId><reservationSet><item><instancesSet>{items}</instancesSet></item>"
        f"</reservationSet>{token}</DescribeInstancesResponse>"
    )


def access_key(key_id: str, secret: str | None = None) -> str:
    return (
        '<CreateAccessKeyResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/">'
        "<CreateAccessKeyResult><AccessKey><UserName>u</UserName>"
        f"<AccessKeyId>{key_id}</AccessKeyId><Status>Active</Status>"
        f"<SecretAccessKey>{secret or token_urlsafe(30)}</SecretAccessKey></AccessKey>"
        "</CreateAccessKeyResult><ResponseMetadata><RequestId>1</RequestId></ResponseMetadata>"
        "</CreateAccessKeyResponse>"
    )
