"""Cut a data set into batches, augmented and normalized, made on a thread while the network computes.

Nothing here remembers anything: batch `position` of epoch `number` is a function of the seed and those two numbers. So
the order is reproducible, any moment of a training can be gone back to, and there is no state to save.
"""

import math
import numbers
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import count, islice

import numpy as np

from minires.data.augmentation import Augmentation, mixup
from minires.data.dataset import check_layout
from minires.data.pixel_units import check_units
from minires.kernels import Array, kernels_for

Batch = tuple[Array, Array]
Plan = tuple[Array, Array, int]


class Loader:
    """Batches of images and their labels.

        loader = Loader(images, labels, 128, seed=0)
        for images, labels in loader.epoch(0): …          len(loader) batches, every image once
        for images, labels in loader.epoch(3, start=70): …   the rest of epoch 3, without its first 70 batches
        for images, labels in loader.stream(step): …       batch after batch without end, through the epochs

    images: (N, C, H, W), float32 or uint8; labels: (N,). With mean and std, (C,) each, a batch is
    (pixel - mean) / std in float32; uint8 images need them. Both are in the units of the pixels: of uint8 images from 0
    to 255, so numbers published for pixels from 0 to 1 are given times 255.
    The last batch of an epoch is smaller where the size does not divide; drop_last leaves it out. One image alone, from
    which batch norm can learn nothing, goes into the batch before, which is then larger by one (`joins_last`).
    augmentation: applied in order, before the normalization; what happens to an image depends on seed, epoch and the
    image's index alone, not on batch_size, order or prefetch.
    mixup: alpha of `data.mixup`, for which num_classes is needed; labels are soft then; 0: never. The share and the
    partners depend on the seed and the batch's number in the training alone.
    prefetch: how many batches a thread makes ahead; 0 makes each when it is asked for, as is done with arrays on a GPU.
    TypeError for what is no array and numbers that are not whole; ValueError for lengths that differ, channels that
    come last, no images, a batch_size that gives no batch, mean and std in other units than the pixels.
    """

    def __init__(
        self,
        images: Array,
        labels: Array,
        batch_size: int,
        shuffle: bool = True,
        drop_last: bool = False,
        seed: int = 0,
        augmentation: Sequence[Augmentation] = (),
        mean: Array | None = None,
        std: Array | None = None,
        prefetch: int = 2,
        mixup: float = 0.0,
        num_classes: int = 0,
    ) -> None:
        for name, array in (("images", images), ("labels", labels)):
            if not hasattr(array, "shape") or not hasattr(array, "dtype"):
                raise TypeError(f"Loader: {name} must be an array, got {type(array).__name__}")
        check_layout("Loader:", images, labels)
        for name, number in (("batch_size", batch_size), ("seed", seed), ("prefetch", prefetch)):
            if not isinstance(number, numbers.Integral):
                raise TypeError(f"Loader: {name} must be a whole number, got {number!r}")
        if len(images) == 0:
            raise ValueError("Loader: there are no images")
        if batch_size < 1 or (drop_last and batch_size > len(images)):
            raise ValueError(f"Loader: batch_size {batch_size} gives no batch of {len(images)} images")
        if seed < 0:
            raise ValueError(f"Loader: seed must be at least 0, got {seed}")
        if prefetch < 0:
            raise ValueError(f"Loader: prefetch must be at least 0, got {prefetch}")
        if mixup and num_classes < 1:
            raise ValueError("Loader: mixup needs num_classes")
        check_statistics(images, mean, std)
        self.images = images
        self.labels = labels
        self.batch_size = int(batch_size)
        self.shuffle = shuffle
        self.drop_last = drop_last
        self.seed = seed
        self.augmentation = list(augmentation)
        self.mean = mean
        self.std = std
        self.mixup, self.num_classes = mixup, num_classes
        self.prefetch = prefetch if isinstance(images, np.ndarray) else 0  # work on a GPU is asynchronous by itself

    @property
    def joins_last(self) -> bool:
        """Whether one image alone is left over, and the last batch has it in addition."""
        N, size = len(self.images), self.batch_size
        return N > size > 1 and N % size == 1 and not self.drop_last

    def __len__(self) -> int:
        whole, rest = divmod(len(self.images), self.batch_size)
        return whole + (rest > 0 and not self.drop_last and not self.joins_last)

    def epoch(self, number: int, start: int = 0) -> Generator[Batch, None, None]:
        """Go through all images once, without the first `start` batches. ValueError for negative numbers."""
        if number < 0:
            raise ValueError(f"Loader.epoch: the number must be at least 0, got {number}")
        if not 0 <= start <= len(self):
            raise ValueError(f"Loader.epoch: start must be between 0 and {len(self)}, got {start}")
        return self._batches(number, start, len(self) - start)

    def stream(self, step: int = 0) -> Generator[Batch, None, None]:
        """Go on without end from batch `step` of the training: epoch and position are divmod(step, len(loader))."""
        if step < 0:
            raise ValueError(f"Loader.stream: the step must be at least 0, got {step}")
        return self._batches(*divmod(step, len(self)), None)

    def _batches(self, epoch: int, start: int, total: int | None) -> Generator[Batch, None, None]:
        plans = islice(self._plans(epoch, start), total)
        if self.prefetch == 0:
            for plan in plans:
                yield self._make(*plan)
            return
        thread = ThreadPoolExecutor(1, thread_name_prefix="minires-loader")
        try:
            ahead: deque[Future[Batch]] = deque()
            for plan in plans:
                ahead.append(thread.submit(self._make, *plan))
                if len(ahead) > self.prefetch:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:  # also when the caller leaves its loop early
            thread.shutdown(wait=True, cancel_futures=True)

    def _plans(self, epoch: int, start: int) -> Iterator[Plan]:
        """For each batch from (epoch, start) on, without end: the images' indices, their random numbers, its number."""
        per_image = sum([augmentation.draws for augmentation in self.augmentation])
        for number in count(epoch):
            order = np.arange(len(self.images))
            if self.shuffle:
                order = np.random.default_rng([self.seed, number]).permutation(order)
            draws = np.random.default_rng([self.seed, number, 1]).random((len(order), per_image))
            for position in range(start if number == epoch else 0, len(self)):
                end = (position + 1) * self.batch_size + (self.joins_last and position == len(self) - 1)
                indices = order[position * self.batch_size : end]
                yield indices, draws[indices], number * len(self) + position

    def _make(self, indices: Array, draws: Array, step: int) -> Batch:
        """Cut, augment, normalize and mix one batch."""
        xp = kernels_for(self.images).xp
        chosen = xp.asarray(indices)
        images, labels = self.images[chosen], self.labels[chosen]
        used = 0
        for augmentation in self.augmentation:
            images = augmentation(images, draws[:, used : used + augmentation.draws])
            used += augmentation.draws
        if self.mean is not None and self.std is not None:
            images = normalize(images, self.mean, self.std)
        if self.mixup:
            generator = np.random.default_rng([self.seed, step, 2])
            images, labels = mixup(images, labels, self.num_classes, self.mixup, generator)
        return images, labels


def parts_of(N: int, parts: int) -> list[tuple[int, int]]:
    """List (start, end) of the parts a batch is cut into. One image alone goes with those before, as in `Loader`."""
    size = math.ceil(N / parts)
    starts = list(range(0, N, size))
    if len(starts) > 1 and size > 1 and N - starts[-1] == 1:
        del starts[-1]
    return list(zip(starts, [*starts[1:], N], strict=True))


def normalize(images: Array, mean: Array, std: Array) -> Array:
    """Return (pixel - mean) / std in float32, channel by channel; images (N, C, H, W), mean and std (C,)."""
    xp = kernels_for(images).xp
    mean, std = (xp.asarray(array, dtype=np.float32)[:, None, None] for array in (mean, std))
    images = images - mean  # uint8 - float32 is float32
    images /= std
    return images


def check_statistics(images: Array, mean: Array | None, std: Array | None) -> None:
    """Refuse a mean and std that do not fit the images."""
    if mean is None and std is None:
        if images.dtype == np.uint8:
            raise ValueError("Loader: uint8 images need mean and std, such as a Dataset's, to become float32")
        return
    if mean is None or std is None:
        raise ValueError("Loader: mean and std go together; give both or none")
    if np.shape(mean) != images.shape[1:2] or np.shape(std) != images.shape[1:2]:
        raise ValueError(
            f"Loader: images {images.shape} need mean and std of shape {images.shape[1:2]}, "
            f"got {np.shape(mean)} and {np.shape(std)}"
        )
    if isinstance(images, np.ndarray):  # looking at pixels on a GPU would make the CPU wait
        check_units("Loader", images, mean, std)
