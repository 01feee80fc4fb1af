"""What makes the compiled kernels fast.

compilation.py     `kernel` and `helper`: functions that are compiled on first use, and kept in a cache on disk
inlining.py        helpers as parts of the kernels that call them, without machine code of their own
ahead.py           a second process that compiles what will be called later
threads.py         the threads that share out a kernel's chunks
simd.py            sixteen float32 as one value: vector registers
tile.py            the matrix product that all convolutions come down to, in registers
memory.py          freed memory that is kept for the next step
"""
