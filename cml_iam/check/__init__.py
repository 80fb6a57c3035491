"""The checks, each of files, an account, or this machine.

A check answers one question with passed, findings, or not checked. `checks.CHECKS` lists all; a
command selects some and presents their answers:

    audit           documents.audit_documents, account.audit_account; report.make_report
    doctor          doctor.examine
    health          the check connection or permissions, asked of a doctor.Scene
    policy verify   verify.verify_offline; with --live, simulation, asked of a scene.AccountScene
    bootstrap       status or differences, asked of a bootstrap.BootstrapScene

Nothing is imported here: each command loads the modules that it needs.
"""
