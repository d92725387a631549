"""Errors that a command reports in a line."""


class DataError(Exception):
    """Files of a data set are missing or have wrong content."""


class RunError(Exception):
    """A run's folder has wrong content."""
