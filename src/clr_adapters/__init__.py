"""Bindings of clrcore to other worlds: one module each, imported by its own name.

Importing this package imports none of them.
"""
