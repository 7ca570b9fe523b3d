"""Both sites on one machine, and what they are compared with.

An `Exchange` is two real sites and a folder for a disk. `alx demo` plays one `Case`: a plan and two sites' configurations.
`alx simulate` plays a `Study`: a `Pool` of samples (of a task of one's own an `OwnPool`), dealt out by a `Split` to two
`Parties` for each seed, with which each `Algorithm` is played round by round (`Played`). A `Game` has the paper's
environments.
"""
