"""A right answer to each exercise: what `minires learn 7 --answer` shows."""
