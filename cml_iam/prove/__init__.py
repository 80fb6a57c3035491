"""Proof: what policies can ever permit, over all requests, with a witness."""
