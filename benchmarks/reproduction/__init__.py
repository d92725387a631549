"""Modules of `reproduce.py`: the arms, the claims, and how the results are reported."""
