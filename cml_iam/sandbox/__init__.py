"""An embedded AWS that enforces policies: for demonstrations, tests and first steps.

    with start_sandbox() as sandbox:
        subprocess.run(command, env={**os.environ, **sandbox.environment()})

Moto's services are behind our own front: `_principals` identifies the caller, `_call` parses the
request by the service's model, `_strict` checks it, and `_guard` asks the engine. Only then does
moto execute the call, from a new request with exactly the authorized parameters. `_ec2`, `_iam`,
`_reports`, `_metrics` and `_sts` add what moto lacks; `_conditions` has the configurable delays,
request limits and refusals.
"""

from cml_iam.sandbox._conditions import (
    AS_AWS,
    Bucket,
    Buckets,
    Conditions,
    Refusal,
    Seconds,
    Shortage,
    load_conditions,
    parse_conditions,
)
from cml_iam.sandbox._moto import check_installed
from cml_iam.sandbox._sandbox import (
    ACCOUNT,
    NOT_EXECUTABLE,
    NOT_FOUND,
    OWN_IMAGE,
    REGION,
    UBUNTU_IMAGE,
    Sandbox,
    command_environment,
    foreign_variable,
    run_command,
    start_sandbox,
)
from cml_iam.sandbox._sts import AUDIENCE, Identity, issue_token
from cml_iam.sandbox._world import AccessKey
