"""Render policy documents from the catalogue and the site."""

from typing import TYPE_CHECKING

from cml_iam.later import later

if TYPE_CHECKING:
    from cml_iam.render._form import FORMS, Form
    from cml_iam.render._forms import anywhere, render_form
    from cml_iam.render._hcl import aligned, hcl, hcl_document, pages
    from cml_iam.render._policies import (
        DOCUMENTS,
        MOST_PARTS,
        Profile,
        RenderedPolicy,
        part_name,
        render_document,
        render_limits,
        render_parts,
        render_policy,
    )
    from cml_iam.render._values import audit_values

__getattr__ = later(__name__)
