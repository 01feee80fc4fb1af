"""The exercises, one module a chapter; how to write one stands at the head of `minires.learn`."""
