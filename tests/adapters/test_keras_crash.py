"""Trainings that are killed at random moments go on from their last checkpoint."""

import crashes
import disks


def test_a_killed_training_makes_the_updates_of_an_uninterrupted_run():
    """`nox -s crash` kills more."""
    crashes.check("keras", kills=3)


def test_a_full_disk_or_a_read_only_folder_leaves_the_snapshot_before():
    """`nox -s crash` tries more sizes."""
    assert disks.faults("keras", 4, seed=0)[1] == []
