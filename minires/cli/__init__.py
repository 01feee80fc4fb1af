"""The `minires` command: `main.py` reads the command line, each other module here is one subcommand."""
