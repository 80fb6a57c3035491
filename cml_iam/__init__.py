"""IAM for CML Cloud Manager: render, prove, provision and use its permissions.

These names are the library's interface and are loaded on first use; the package's modules are
internal and may change. `cml_iam.errors` has the exceptions, `cml_iam.cloud_manager` the clients
with the application's own interfaces. See docs/python.md.
"""

from typing import TYPE_CHECKING, Any

from cml_iam._version import __version__ as __version__

if TYPE_CHECKING:
    from cml_iam.aws import connect
    from cml_iam.check.verify import verify_offline
    from cml_iam.engine import Request, compile_policies
    from cml_iam.errors import CmlIamError
    from cml_iam.expectations import derive_expectations
    from cml_iam.lint import lint_policies
    from cml_iam.policy import load_policy
    from cml_iam.prove import Policies, prove_site, within
    from cml_iam.render import render_policy
    from cml_iam.site import load_site
    from cml_iam.workers import AsyncWorkerManager, Launch, WorkerManager

__all__ = [
    "AsyncWorkerManager",
    "CmlIamError",
    "Launch",
    "Policies",
    "Request",
    "WorkerManager",
    "compile_policies",
    "connect",
    "derive_expectations",
    "lint_policies",
    "load_policy",
    "load_site",
    "prove_site",
    "render_policy",
    "verify_offline",
    "within",
]


if not TYPE_CHECKING:  # for a type checker, the imports above are all names

    def __getattr__(name: str) -> Any:
        if name not in __all__:  # a room, often; nothing is loaded to say so
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from cml_iam.later import later

        return later(__name__)(name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
