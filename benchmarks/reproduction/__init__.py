"""The parts of `reproduce.py`: what is run, what is claimed, and how it is reported."""
