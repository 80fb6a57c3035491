"""The checks, each of files, an account, or this machine.

A check answers one question with passed, findings, or not checked. `checks.CHECKS` lists all; a
command selects some and presents their answers. Nothing is imported here: each command loads the
modules that it needs.
"""
