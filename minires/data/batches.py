"""Cut arrays into batches, in an order that the seed and the epoch's number decide."""

from collections.abc import Iterator

import numpy as np

from minires.kernels import Array


class Batches:
    """Batches of images and their labels; `for images, labels in batches.epoch(0)`, `len(batches)` of them.

    The order of an epoch depends on the seed and the epoch's number alone: epoch 7 is the same whether or not those
    before it were drawn, so training resumes where it stopped with nothing to save but that number. The last batch is
    smaller where the size does not divide; drop_last leaves it out.
    TypeError for what is no array, ValueError for lengths that differ, no images, a batch_size that gives no batch.
    """

    def __init__(
        self,
        images: Array,
        labels: Array,
        batch_size: int,
        shuffle: bool = True,
        drop_last: bool = False,
        seed: int = 0,
    ) -> None:
        for name, array in (("images", images), ("labels", labels)):
            if not hasattr(array, "shape") or not hasattr(array, "dtype"):
                raise TypeError(f"Batches: {name} must be an array, got {type(array).__name__}")
        if labels.shape != images.shape[:1]:
            wanted = images.shape[:1]
            raise ValueError(f"Batches: images {images.shape} need labels of shape {wanted}, got {labels.shape}")
        if len(images) == 0:
            raise ValueError("Batches: there are no images")
        if batch_size < 1 or (drop_last and batch_size > len(images)):
            raise ValueError(f"Batches: batch_size {batch_size} gives no batch of {len(images)} images")
        if seed < 0:
            raise ValueError(f"Batches: seed must be at least 0, got {seed}")
        self.images = images
        self.labels = labels
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.drop_last = drop_last
        self.seed = seed

    def __len__(self) -> int:
        whole, rest = divmod(len(self.images), self.batch_size)
        return whole + (rest > 0 and not self.drop_last)

    def epoch(self, number: int) -> Iterator[tuple[Array, Array]]:
        """Go through all images once. ValueError for a negative number."""
        if number < 0:
            raise ValueError(f"Batches.epoch: the number must be at least 0, got {number}")
        order = np.arange(len(self.images))
        if self.shuffle:
            order = np.random.default_rng([self.seed, number]).permutation(order)
        return self._cut(order)

    def _cut(self, order: Array) -> Iterator[tuple[Array, Array]]:
        for batch in range(len(self)):
            chosen = order[batch * self.batch_size : (batch + 1) * self.batch_size]
            yield self.images[chosen], self.labels[chosen]
