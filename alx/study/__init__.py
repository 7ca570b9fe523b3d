"""Both sites on one machine, and what they are compared with."""
