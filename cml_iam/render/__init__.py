"""Catalogue and site in, policy documents out."""

from cml_iam.render._forms import FORMS, Form, render_form
from cml_iam.render._policies import (
    DOCUMENTS,
    PROFILES,
    DocumentForm,
    Kind,
    Profile,
    RenderedPolicy,
    render_document,
    render_parts,
    render_policy,
)

__all__ = [
    "DOCUMENTS",
    "FORMS",
    "PROFILES",
    "DocumentForm",
    "Form",
    "Kind",
    "Profile",
    "RenderedPolicy",
    "render_document",
    "render_form",
    "render_parts",
    "render_policy",
]
