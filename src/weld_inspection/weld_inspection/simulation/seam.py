"""The sound seam, endless, of which any window can be computed alone."""

import numpy as np

from weld_inspection.simulation.bead import BeadLine, lay_bead, trace_bead
from weld_inspection.simulation.lattice import Lattice
from weld_inspection.simulation.look import Look
from weld_inspection.simulation.plate import lay_plate, paint_tint
from weld_inspection.simulation.surface import STRIP_HEIGHT, Surface


class Seam:
    """A weld seam without defects or marks.

    Attributes:
        look: Its appearance.
        lattice: Its noise.
    """

    def __init__(self, look: Look, seed: int) -> None:
        """Prepares a seam.

        Args:
            look: Its appearance.
            seed: Any non-negative integer.
        """
        self.look = look
        self.lattice = Lattice(seed)
        self._seed = seed

    def bead_line(self, x: np.ndarray) -> BeadLine:
        """Where the bead lies.

        Args:
            x: Strip columns in pixels, (N,).

        Returns:
            The bead at those columns.
        """
        return trace_bead(self.lattice, self.look, x)

    def surface(self, x0: int, width: int) -> Surface:
        """The sound surface of a window over the strip's whole height.

        Args:
            x0: Left strip column.
            width: Width in pixels.

        Returns:
            The window, with an empty mask.
        """
        bead = self.bead_line(np.arange(x0, x0 + width))
        y = np.arange(STRIP_HEIGHT, dtype=np.float32)[:, None]
        above = y < bead.centre
        outside = np.maximum(bead.upper - y, y - bead.lower)
        surface = lay_plate(self.lattice, self.look, x0, width)
        paint_tint(surface, self.lattice, self.look, outside, above)
        lay_bead(surface, self.lattice, self.look, bead, outside, self._seed)
        return surface
