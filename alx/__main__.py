"""`python -m alx`."""

from alx.cli.main import main

main()
