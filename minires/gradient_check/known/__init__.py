"""The right gradients of the ops as named terms, and the mistakes that are made in them, for `fitting`."""
