"""What keeps the manager from its work, and what to do about it: troubleshooting as code.

for each in examine(scene):
    each.state, each.subject, each.said, each.remedy
"""

from cml_iam.doctor._documents import Attached
from cml_iam.doctor._examine import examine
from cml_iam.doctor._model import Area, Diagnosis, Scene, State
from cml_iam.doctor._refusal import Why, launch_requests, supposed, why_refused

__all__ = [
    "Area",
    "Attached",
    "Diagnosis",
    "Scene",
    "State",
    "Why",
    "examine",
    "launch_requests",
    "supposed",
    "why_refused",
]
