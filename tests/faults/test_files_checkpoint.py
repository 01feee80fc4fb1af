"""Every byte of a checkpoint counts: whichever is changed, the file is refused in one sentence, and nothing is loaded.

`python tests/faults/test_files_checkpoint.py 2000` makes that many changes of each kind, by a seed, and prints what
became of them.
"""

import json
import random
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from minires.runs import checkpoint
from minires.runs.checkpoint_file import Damaged, decode

OLD = Path(__file__).parents[1] / "runs" / "run_of_format_1" / "checkpoints" / "step-000008.safetensors"


def regions(content):
    """Name the parts of a file and where they are: each has other ways to go wrong."""
    head = 8 + int.from_bytes(content[:8], "little")
    state, arrays = content.index(rb"\"state\":"), content.index(b'"},"')
    return {"length": (0, 8), "about": (8, state), "state": (state, arrays), "names": (arrays, head),
            "arrays": (head, len(content))}  # fmt: skip


def flip(content, index, draw):
    content[index] ^= 1 << draw.randrange(8)


def overwrite(content, index, draw):
    content[index] = (content[index] + draw.randrange(1, 256)) % 256


def delete(content, index, draw):
    del content[index]


def insert(content, index, draw):
    content.insert(index, draw.randrange(256))


def cut(content, index, draw):
    del content[index:]


def change_digit(content, index, draw):
    """Replace the digit at or after a place by another one: JSON stays JSON."""
    for place in (*range(index, len(content)), *range(index)):
        if 48 <= content[place] <= 57:
            content[place] = 48 + (content[place] - 48 + draw.randrange(1, 10)) % 10
            return


KINDS = (flip, overwrite, change_digit, delete, insert, cut)


def mutated(whole, kind, region, draw):
    content = bytearray(whole)
    kind(content, draw.randrange(*region), draw)
    return bytes(content)


def outcome(path, whole_state):
    """Load a file that was changed; say what became of it."""
    try:
        state, _ = checkpoint.load(path)
    except ValueError as error:
        lines, words = str(error).splitlines(), str(error)
        if path.name not in words:
            return "error without the file's name"
        return "refused" if len(lines) == 1 and "Delete it" in words else "error without a cure"
    except Exception as error:
        return f"traceback: {type(error).__name__}"
    return "unchanged" if as_text(state) == whole_state else "another state loaded"


def as_text(state):
    return json.dumps(state, default=lambda array: [str(array.dtype), array.tobytes().hex()], sort_keys=True)


def tried(folder, number, seed):
    """Make so many changes of each kind, spread over the regions; count what became of them, by region."""
    state, _ = checkpoint.load(OLD)
    path = checkpoint.save(folder, 8, state)
    whole, expected, draw = path.read_bytes(), as_text(state), random.Random(seed)
    counts = {}
    for name, region in regions(whole).items():
        counts[name] = Counter()
        for kind in KINDS:
            for _ in range(-(-number // 5)):
                path.write_bytes(mutated(whole, kind, region, draw))
                counts[name][outcome(path, expected)] += 1
    return counts


def test_every_region_is_under_the_checksum(tmp_path):
    for region, counts in tried(tmp_path, number=40, seed=14).items():
        assert set(counts) == {"refused"}, region


def test_every_bit_of_a_small_file(tmp_path):
    path = checkpoint.save(tmp_path, 7, {"step": 7, "best": {"step": 3, "loss": 0.25}, "model": {"w": np.zeros(3)}})
    whole = path.read_bytes()
    for index in range(len(whole)):
        for bit in range(8):
            content = bytearray(whole)
            content[index] ^= 1 << bit
            with pytest.raises(Damaged):
                decode(bytes(content))


def test_what_is_left_is_named(tmp_path):
    for step in (1, 2, 3):
        path = checkpoint.save(tmp_path, step, {"step": step})
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(ValueError, match="Delete it; the checkpoints of steps 1, 2 are left"):
        checkpoint.load(path)


def test_format_1_has_no_traceback(tmp_path):
    whole, draw = OLD.read_bytes(), random.Random(1)
    path, counts = tmp_path / "step-000008.safetensors", Counter()
    for name, region in regions(whole).items():
        for kind in KINDS:
            for _ in range(6):
                path.write_bytes(mutated(whole, kind, region, draw))
                found = outcome(path, as_text(checkpoint.load(OLD)[0]))
                counts[found] += 1
                assert found == "refused" or name in ("state", "about"), (name, found)
    assert set(counts) <= {"refused", "another state loaded", "unchanged"}


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        for region, counts in tried(Path(folder), int(sys.argv[1]), seed=14).items():
            print(f"{region:8}", dict(counts))
