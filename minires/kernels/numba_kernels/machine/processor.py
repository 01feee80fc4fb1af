"""What the processor has, and what follows from it: one table, with the shapes all that decides which kernel is taken.

                 vectors      tiles of a product, rows × columns    3×3 filters with stride 1
    AVX-512      512 bits     8 × 32, and 24 × 16                   Winograd's way from 8 channels and 3×3 outputs up
    AVX2, FMA    256 bits     6 × 16                                the same
    neither      none         none: convolutions are NumPy's        NumPy's

The tiles hide a multiply-add's latency and fit the registers, 32 of AVX-512 and 16 of AVX2. Nothing is timed while a
program runs, so its results are the same to the last bit each time; from row to row the last digits may differ, since
sums are taken in another order.
"""

from typing import NamedTuple

from llvmlite import binding
from numba import config


class Choice(NamedTuple):
    """A row of the table. tall_rows: of a tile of one panel of columns."""

    vector_bits: int
    rows: int
    tall_rows: int
    two_panels: bool
    winograd_channels: int
    winograd_outputs: int


CHOICES = {
    "avx512": Choice(512, rows=8, tall_rows=24, two_panels=True, winograd_channels=8, winograd_outputs=3),
    "avx2": Choice(256, rows=6, tall_rows=6, two_panels=False, winograd_channels=8, winograd_outputs=3),
}


def processor_has(feature: str) -> bool:
    """Say whether Numba compiles for a processor with this feature: what NUMBA_CPU_FEATURES says, else the host's."""
    if config.CPU_FEATURES is not None:
        return f"+{feature}" in config.CPU_FEATURES.split(",")
    return bool(binding.get_host_cpu_features().get(feature))


HAS_SIMD = processor_has("avx2") and processor_has("fma")
CHOICE = CHOICES["avx512" if HAS_SIMD and processor_has("avx512f") else "avx2"]


def vectors() -> str:
    """Say how wide the vectors of the convolutions are: "512 bits", "256 bits", or "none"."""
    return f"{CHOICE.vector_bits} bits" if HAS_SIMD else "none"
