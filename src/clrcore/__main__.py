"""`python -m clrcore`: the same as the command `clrcore`, which comes with this package."""

from clr_adapters.cli import main

if __name__ == "__main__":
    main()
