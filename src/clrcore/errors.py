"""The exceptions that are clrcore's own; everything else is a `TypeError` or a `ValueError`."""


class NoBoundsError(ValueError):
    """A range-test curve carries no answer; the message says why and what to try next."""
