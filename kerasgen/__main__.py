"""`python -m kerasgen`."""

from kerasgen.cli import main

main()
