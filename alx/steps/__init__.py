"""The steps of an exchange that need no torch: make a site, pair, rotate a key, take a bundle in, hand one out."""
