"""Every command that speaks to AWS, against what is not AWS and credentials that cannot work."""
