"""The register tile: the matrix product that does every multiplication of the convolutions.

    Y[row, column] (+)= Σ_{r < R} Σ_{k < K} A[row, r, k] · B[r, k, column]

A is any array with four strides: `a[a0 + row·a_row + r·a_r + k·a_k]`. That one product is then the forward pass (row:
an output pixel, r: a filter row, k: a filter column and channel), the gradient of the weight (row: a filter column and
channel, r and k: the output pixels), and each of Winograd's 36 products. B is packed in panels of 16 columns, panel
after panel, each R·K rows long, so that it is read from front to back.

                      one panel of B, 16 wide        another, in AVX-512
                      ┌────────────────────┐        ┌────────────────────┐
                    k │ ░░░░ load, 1× ░░░░ │        │ ░░░░ load, 1× ░░░░ │
                      └────────────────────┘        └────────────────────┘
           k                    │                             │
         ┌───┐        ┌─────────▼──────────┐        ┌─────────▼──────────┐
    row  │ ▒ │ ─────▶ │ ▓ ▓ ▓ ▓ ▓ ▓ ▓ ▓ ▓  │ ─────▶ │ ▓ ▓ ▓ ▓ ▓ ▓ ▓ ▓ ▓  │   ROWS rows of Y,
         │ ▒ │ ─────▶ │ ▓ ▓  += ▒ · ░ ▓ ▓  │ ─────▶ │ ▓ ▓  += ▒ · ░ ▓ ▓  │   in registers
         │ ▒ │ ─────▶ │ ▓ ▓ ▓ ▓ ▓ ▓ ▓ ▓ ▓  │ ─────▶ │ ▓ ▓ ▓ ▓ ▓ ▓ ▓ ▓ ▓  │   from k = 0 to the end
         └───┘        └────────────────────┘        └────────────────────┘

Why it is fast: a step k loads one number of A a row and one vector of B a panel, and does ROWS multiply-adds a panel
with them. The results stay in registers and go to memory once, so that the processor's multipliers are the only limit.
"""

from typing import Any

from numba import boolean

from minires.kernels.numba_kernels.machine.compilation import inlined
from minires.kernels.numba_kernels.machine.processor import CHOICE
from minires.kernels.numba_kernels.machine.simd import LANES, add_outer, load, load_rows, store_rows, zero_rows

ROWS, TALL_ROWS, TWO_PANELS = CHOICE.rows, CHOICE.tall_rows, CHOICE.two_panels


# All are `inlined`: called for a few thousand multiplications, too few to pass forty arguments for.


def tile_of(rows: int) -> Any:
    """Return the tile of `rows` rows and one panel of columns."""

    @inlined
    def tile(y, y0, y_row, a, a0, a_row, a_r, a_k, b, b0, R, K, accumulate):
        acc = load_rows(y, y0, y_row, rows) if accumulate else zero_rows(rows)
        for r in range(R):
            i = a0 + r * a_r
            for _ in range(K):
                acc = add_outer(acc, a, i, a_row, load(b, b0))
                i += a_k
                b0 += LANES
        store_rows(y, y0, y_row, acc)

    return tile


def wide_tile_of(rows: int) -> Any:
    """Return the tile of `rows` rows and two panels of columns, the second `b_panel` numbers after the first."""

    @inlined
    def wide_tile(y, y0, y_row, a, a0, a_row, a_r, a_k, b, b0, b_panel, R, K, accumulate):
        left = load_rows(y, y0, y_row, rows) if accumulate else zero_rows(rows)
        right = load_rows(y, y0 + LANES, y_row, rows) if accumulate else zero_rows(rows)
        for r in range(R):
            i = a0 + r * a_r
            for _ in range(K):
                left = add_outer(left, a, i, a_row, load(b, b0))
                right = add_outer(right, a, i, a_row, load(b, b0 + b_panel))
                i += a_k
                b0 += LANES
        store_rows(y, y0, y_row, left)
        store_rows(y, y0 + LANES, y_row, right)

    return wide_tile


tile_16, tile_9 = tile_of(16), tile_of(9)  # 9: a 3×3 filter's row over the three channels of a picture
tile_tall, tile_full, tile_4, tile_1 = tile_of(TALL_ROWS), tile_of(ROWS), tile_of(4), tile_of(1)
wide_full, wide_4, wide_1 = wide_tile_of(ROWS), wide_tile_of(4), wide_tile_of(1)


@inlined
def panel_product(y, y0, y_row, a, a0, a_row, a_r, a_k, b, b0, rows, R, K, accumulate):
    """Write `rows` rows of one panel of 16 columns."""
    row = 0
    while row < rows:
        row = start_of_tile(row, rows, accumulate)
        yi, ai, left = y0 + row * y_row, a0 + row * a_row, rows - row
        if left >= TALL_ROWS:
            tile_tall(y, yi, y_row, a, ai, a_row, a_r, a_k, b, b0, R, K, accumulate)
            row += TALL_ROWS
        elif TALL_ROWS > 16 and left >= 16:
            tile_16(y, yi, y_row, a, ai, a_row, a_r, a_k, b, b0, R, K, accumulate)
            row += 16
        elif TALL_ROWS > 16 and left == 9:
            tile_9(y, yi, y_row, a, ai, a_row, a_r, a_k, b, b0, R, K, accumulate)
            row += 9
        elif left >= ROWS:
            tile_full(y, yi, y_row, a, ai, a_row, a_r, a_k, b, b0, R, K, accumulate)
            row += ROWS
        elif left >= 4:
            tile_4(y, yi, y_row, a, ai, a_row, a_r, a_k, b, b0, R, K, accumulate)
            row += 4
        else:
            tile_1(y, yi, y_row, a, ai, a_row, a_r, a_k, b, b0, R, K, accumulate)
            row += 1


@inlined
def two_panel_product(y, y0, y_row, a, a0, a_row, a_r, a_k, b, b0, b_panel, rows, R, K, accumulate):
    """Write `rows` rows of two panels, 32 columns."""
    row = 0
    while row < rows:
        row = start_of_tile(row, rows, accumulate)
        yi, ai, left = y0 + row * y_row, a0 + row * a_row, rows - row
        if left >= ROWS:
            wide_full(y, yi, y_row, a, ai, a_row, a_r, a_k, b, b0, b_panel, R, K, accumulate)
            row += ROWS
        elif left >= 4:
            wide_4(y, yi, y_row, a, ai, a_row, a_r, a_k, b, b0, b_panel, R, K, accumulate)
            row += 4
        else:
            wide_1(y, yi, y_row, a, ai, a_row, a_r, a_k, b, b0, b_panel, R, K, accumulate)
            row += 1


@inlined
def start_of_tile(row, rows, accumulate):
    """Return where the next tile begins: at `row`, or, for the last rows, earlier, so that a whole tile fits: writing a
    few rows twice takes less time than tiles of one row, but adding to them twice would be wrong."""
    if not accumulate and rows - row < ROWS <= rows:
        return rows - ROWS
    if not accumulate and rows - row < 4 <= rows:
        return rows - 4
    return row


@inlined
def fits_in_place(rows, columns, K):
    """Say whether Y may be written over A, rows as long as A's: one panel, whose tiles each read their rows to the end
    before they write them, and none of which begins earlier to be whole."""
    return columns == LANES and K == LANES and rows % ROWS == 0


@inlined
def product(y, y0, y_row, a, a0, a_row, a_r, a_k, b, b0, rows, columns, R, K, accumulate):
    """Write Y, rows × columns, at y[y0], its rows y_row apart; columns a multiple of 16. See the head of this file."""
    accumulate = boolean(accumulate)  # else a False in the caller's code were a type, and all tiles compiled for it too
    b_panel = R * K * LANES
    column = 0
    while column < columns:
        if TWO_PANELS and columns - column >= 2 * LANES:
            two_panel_product(y, y0, y_row, a, a0, a_row, a_r, a_k, b, b0, b_panel, rows, R, K, accumulate)
            step = 2
        else:
            panel_product(y, y0, y_row, a, a0, a_row, a_r, a_k, b, b0, rows, R, K, accumulate)
            step = 1
        y0 += step * LANES
        b0 += step * b_panel
        column += step * LANES
