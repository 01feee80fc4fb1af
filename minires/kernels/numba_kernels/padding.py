"""Small arrays of a kernel's own, and windows of images in them, with zeros where they reach over the border.

      w0
   ┌ ─ ─ ─ ─ ─ ┐          rows × columns pixels are copied to a small array that stays in the cache:
h0   0 0 0 0 0            the zeros cost no branch in the loops that do the arithmetic, and the whole
   │ 0 ┌───────┼───┐      padded image is never made.
     0 │ copied    │
   └ ─ ┼ ─ ─ ─ ┘   │
       └───────────┘
"""

import numpy as np

from minires.kernels.numba_kernels.machine.compilation import array_helper, helper
from minires.kernels.numba_kernels.machine.simd import LANES, load, prefetch, prefetch_to_write, splat, store


@array_helper
def scratch(size):
    """Return an uninitialized array that begins where a cache line does, so that no vector lies across two lines."""
    array = np.empty(size + LANES, np.float32)
    start = -(array.ctypes.data // 4) % LANES
    return array[start : start + size]


@helper
def prefetch_part(array, first, last, part, parts, write):
    """Prefetch one of so many parts of array[first : last]. Asked for bit by bit while the processor multiplies, memory
    is there when it is needed; asked for all at once, it would be waited for."""
    size = last - first
    for i in range(first + size * part // parts, first + size * (part + 1) // parts, LANES):
        if write:
            prefetch_to_write(array, i)
        else:
            prefetch(array, i)


@helper
def copy_numbers(x, i, out, o, count):
    """out[o : o+count] = x[i : i+count]."""
    done = 0
    while done + LANES <= count:
        store(out, o + done, load(x, i + done))
        done += LANES
    while done < count:
        out[o + done] = x[i + done]
        done += 1


@helper
def write_zeros(out, o, count):
    """out[o : o+count] = 0."""
    done = 0
    while done + LANES <= count:
        store(out, o + done, splat(np.float32(0)))
        done += LANES
    while done < count:
        out[o + done] = 0
        done += 1


@helper
def copy_pixels(x, image, h0, w0, H, W, C, rows, columns, out, out0, out_pixel):
    """Copy the window at (h0, w0) of the image at x[image], H×W pixels of C numbers, to out[out0]; there a pixel has
    out_pixel ≥ C numbers, the further ones zero."""
    first, last = min(max(-w0, 0), columns), max(min(W - w0, columns), 0)  # the columns inside the image
    for row in range(rows):
        h, o = h0 + row, out0 + row * columns * out_pixel
        if h < 0 or h >= H or first >= last:
            write_zeros(out, o, columns * out_pixel)
            continue
        i = image + (h * W + w0 + first) * C
        write_zeros(out, o, first * out_pixel)
        if out_pixel == C:
            copy_numbers(x, i, out, o + first * C, (last - first) * C)
        else:
            for pixel in range(last - first):
                copy_numbers(x, i + pixel * C, out, o + (first + pixel) * out_pixel, C)
                write_zeros(out, o + (first + pixel) * out_pixel + C, out_pixel - C)
        write_zeros(out, o + last * out_pixel, (columns - last) * out_pixel)


def window_of(write_row):
    """Return a function that writes the six rows of pixels which a strip of Winograd's tiles sees, padding 1, each row
    made by write_row(sources, i, pixels, C, out, o) from what is at i in the sources."""

    @helper
    def write_window(strip, continued, sources, H, W, C, tiles, out):
        """continued: `out` holds the rows of the strip above, whose last two are this strip's first."""
        strips, columns = (H + 3) // 4, (4 * tiles + 2) * C
        image, above = strip // strips * H, strip % strips * 4 - 1
        ready = 0
        if continued:
            copy_numbers(out, 4 * columns, out, 0, 2 * columns)
            ready = 2
        for row in range(ready, 6):
            o = row * columns
            if above + row < 0 or above + row >= H:
                write_zeros(out, o, columns)
            else:
                write_zeros(out, o, C)
                write_row(sources, (image + above + row) * W * C, W, C, out, o + C)
                write_zeros(out, o + (W + 1) * C, columns - (W + 1) * C)

    return write_window
