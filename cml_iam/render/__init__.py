"""Catalogue and site in, policy documents out."""

from cml_iam.render._policy import PROFILES, Profile, RenderedPolicy, render_policy

__all__ = ["PROFILES", "Profile", "RenderedPolicy", "render_policy"]
