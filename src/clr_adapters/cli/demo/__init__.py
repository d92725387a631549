"""`clrcore demo`: the whole method on real digits, with a network in NumPy.

`data` reads and splits the digits, `network` is the network and its optimizer, `training` runs
range tests and trainings, `experiment` names the policies that are compared, `statistics` computes
intervals, `report` writes the text, the pictures and the files, and `command` runs it all.
"""
