"""The seven clusters of a report, one module each: what is in it, and where more of its kind is added, as a `Part`."""
