"""How to install the packages that an adapter needs."""


def install(extra: str) -> str:
    """The advice of an ImportError: the command that installs an extra."""
    return f'run pip install ".[{extra}]" in a checkout of clrcore'
