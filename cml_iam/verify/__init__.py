"""Ask the expectations of a site: offline of our engine, live of iam:SimulatePrincipalPolicy.

Live, the questions are put in few calls. One call of the API has one context for all of its
actions and resources, so questions are grouped by context; and because only the keys that some
policy mentions can matter, the rest are left out first, which makes most contexts equal. Not in an
organization: its service control policies, which nobody but the simulator reads, may mention any.

https://docs.aws.amazon.com/IAM/latest/APIReference/API_SimulatePrincipalPolicy.html
"""

from cml_iam.verify._live import verify_live
from cml_iam.verify._offline import verify_offline
from cml_iam.verify._verification import Verification

__all__ = ["Verification", "verify_live", "verify_offline"]
