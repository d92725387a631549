"""Modules of `scoreboard.py`: tasks, arms, tuning, the contest itself, and how it is reported."""
