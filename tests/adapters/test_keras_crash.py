"""Trainings that are killed at random moments go on from their last checkpoint."""

import crashes


def test_a_killed_training_makes_the_updates_of_an_uninterrupted_run():
    """`nox -s crash` kills more."""
    crashes.check("keras", kills=3)
