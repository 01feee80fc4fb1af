"""What makes the compiled kernels fast: vector registers, the tile, threads, compilation, memory."""
