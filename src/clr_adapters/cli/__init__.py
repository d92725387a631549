"""The command `clrcore`: one module per subcommand. Slow imports wait until it runs."""

from .._extras import install

try:
    import click  # noqa: F401
except ModuleNotFoundError as error:
    _missing = str(error)

    def main(**_: object) -> None:
        """Exit with the extra to install, in one sentence."""
        raise SystemExit(f"the command clrcore needs click: {install('cli')} ({_missing})")

else:
    from ._group import main

__all__ = ["main"]
