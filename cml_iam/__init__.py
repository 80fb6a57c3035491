"""IAM for CML Cloud Manager: render, prove, provision and use its permissions."""

__version__ = "0.1.0"
