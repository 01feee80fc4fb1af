"""What examines the reader's own engine: for each chapter that adds to it, `PARTS`, one `Exercise` for each file."""
