"""Your own engine, written by you, chapter by chapter: `python -m my_minires.train` trains a network with it."""
