"""The command line: parse, call one function of the library, print, choose the exit code."""

from cml_iam.cli._main import cli, main

__all__ = ["cli", "main"]
