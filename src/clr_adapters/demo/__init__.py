"""The whole method on real data, with NumPy alone: what the command `clrcore demo` runs.

`data` reads and splits the digits, `network` is the network, `training` moves it by a policy,
`experiment` says what is run, `statistics` what the numbers allow to be said, `report` says it, and
`page` shows it in a browser.
"""
