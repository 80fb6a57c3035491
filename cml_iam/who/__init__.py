"""Which principals of an account may do something, always or under conditions.

Whether the first user or role of the account in *file* may stop an instance:

    account = account_of(json.load(file))
    asker = Asker(account, now)
    asker.cell(Question("ec2:StopInstances", arn), State(account.members[0])).answer
"""

from cml_iam.who._account import (
    DOWNLOAD,
    Account,
    Member,
    account_of,
    read_account,
    with_resources,
    with_scps,
)
from cml_iam.who._asking import Asker, Question, State
from cml_iam.who._paths import Paths
from cml_iam.who._reduced import Origin
from cml_iam.who._remedy import remedy
from cml_iam.who._report import NOT_COVERED, Holder, Topic, as_json, holders, is_expected, topics
