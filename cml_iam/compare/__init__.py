"""Compares policies by what they mean."""
