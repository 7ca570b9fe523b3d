"""An exchange of format version 1 that must always open; `make.py` made it, once."""
