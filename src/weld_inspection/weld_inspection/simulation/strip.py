"""The rendered strip of a seam, made tile by tile as the camera comes to it."""

import functools
import os
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from weld_inspection.simulation.defects import PlantedDefect
from weld_inspection.simulation.lighting import light
from weld_inspection.simulation.marks import marks
from weld_inspection.simulation.seam import Seam
from weld_inspection.simulation.surface import METRES_PER_PIXEL

TILE = 1024
# Room at a tile's edges for what lighting looks at around a pixel.
_MARGIN = 24
# A seam of 30 s at 20 mm/s takes 19 tiles, which then stay; each is about 4 MB.
_TILES_KEPT = 24
# A defect's patch reaches less than this beyond its mask, metres.
_PATCH_REACH = 0.01
# Of the thread that renders far ahead: whoever else wants the processor goes first.
_NICENESS = 10


class Strip:
    """Image and mask of a seam at 37.5 um a pixel; bounded memory whatever the seam's length.

    A tile is rendered once, when a window first needs it or `render_ahead` asks for it; the one
    after it is rendered meanwhile by a thread of its own, so that a camera that travels finds it
    ready.
    """

    def __init__(self, seam: Seam, defects: Sequence[PlantedDefect], seed: int) -> None:
        """Prepares a strip; renders nothing yet.

        Args:
            seam: The sound seam.
            defects: What is planted in it.
            seed: Seed of its marks.
        """
        self._seam = seam
        self._defects = defects
        self._seed = seed
        self._tiles: OrderedDict[int, Future[tuple[np.ndarray, np.ndarray]]] = OrderedDict()
        # Most defects lie on two tiles.
        self._patch = functools.lru_cache(maxsize=6)(lambda defect: defect.patch(seam))
        self._lock = threading.Lock()  # of the tiles' list
        self._renderer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="strip")
        self._ahead = ThreadPoolExecutor(1, "strip ahead", initializer=_give_way)
        self._closed = False

    def window(self, x0: int, width: int) -> tuple[np.ndarray, np.ndarray]:
        """Image and mask of a window over the strip's whole height.

        Args:
            x0: Left strip column, may be negative.
            width: Width in pixels.

        Returns:
            (STRIP_HEIGHT, width, 3) uint8 BGR and (STRIP_HEIGHT, width) uint8. Not to be changed.
        """
        first, last = x0 // TILE, (x0 + width - 1) // TILE
        wanted = [self._tile(number) for number in range(first, last + 1)]
        self._tile(last + 1)  # ahead of the camera
        with self._lock:
            while len(self._tiles) > _TILES_KEPT:
                self._tiles.popitem(last=False)
        parts = []
        for number, tile in zip(range(first, last + 1), wanted, strict=True):
            left = max(x0 - number * TILE, 0)
            right = min(x0 + width - number * TILE, TILE)
            image, mask = tile.result()
            parts.append((image[:, left:right], mask[:, left:right]))
        if len(parts) == 1:
            return parts[0]
        images, masks = zip(*parts, strict=True)
        return np.concatenate(images, axis=1), np.concatenate(masks, axis=1)

    def render_ahead(self, x0: int, width: int) -> None:
        """Begins to render a part of the strip, as far as its tiles can be kept.

        Args:
            x0: Left strip column, may be negative.
            width: Width in pixels.
        """
        first = x0 // TILE
        last = min((x0 + width - 1) // TILE, first + _TILES_KEPT - 1)
        self._go_on(iter(range(first, last + 1)))

    def close(self) -> None:
        """Gives up what has not begun to be rendered; there are no windows any more."""
        with self._lock:
            self._closed = True
        for renderer in (self._renderer, self._ahead):
            renderer.shutdown(wait=False, cancel_futures=True)

    def _go_on(self, numbers: Iterator[int]) -> None:
        """Renders the next tile that is not there, and then those after it.

        One is asked for when the one before is done, as an interpreter that ends waits for all that
        were asked for and takes no more.
        """
        with self._lock:
            number = next((number for number in numbers if number not in self._tiles), None)
            if number is None or self._closed:
                return
            try:
                tile = self._tiles[number] = self._ahead.submit(self._render, number)
            except RuntimeError:  # the interpreter ends
                return
        tile.add_done_callback(lambda _: self._go_on(numbers))

    def _tile(self, number: int) -> "Future[tuple[np.ndarray, np.ndarray]]":
        """The tile of a number, ready or under way."""
        with self._lock:
            if number not in self._tiles:
                self._tiles[number] = self._renderer.submit(self._render, number)
            self._tiles.move_to_end(number)
            return self._tiles[number]

    def _render(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """Renders one tile."""
        x0, width = number * TILE - _MARGIN, TILE + 2 * _MARGIN
        surface = self._seam.surface(x0, width)
        for mark in marks(self._seam, self._seed, x0, width):
            mark.paint(surface)
        left, right = x0 * METRES_PER_PIXEL, (x0 + width) * METRES_PER_PIXEL
        for defect in self._defects:
            if defect.start - _PATCH_REACH < right and defect.end + _PATCH_REACH > left:
                self._patch(defect).paint(surface)
        image = light(surface, self._seam.look)
        inner = np.s_[:, _MARGIN:-_MARGIN]
        return np.ascontiguousarray(image[inner]), np.ascontiguousarray(surface.mask[inner])


def _give_way() -> None:
    """Lets other threads go before the one that calls this."""
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
