"""A file that can give up its last write."""

import os
from pathlib import Path


class SteadyFile:
    """Writes without a buffer, so that after a failure it is known what is in the file.

    Python's buffered files keep what the disk refused and try it again with every later call;
    here the file can be cut back to what was complete, and be finished properly.
    """

    def __init__(self, path: Path) -> None:
        """Opens an existing file to go on at its end.

        Args:
            path: The file.

        Raises:
            OSError: It cannot be opened.
        """
        self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND)
        self._position = os.lseek(self._descriptor, 0, os.SEEK_END)

    def tell(self) -> int:
        """Bytes in the file."""
        return self._position

    def write(self, data: bytes | memoryview) -> int:
        """Writes all of the data.

        Returns:
            Number of bytes.

        Raises:
            OSError: The disk took a part of it or nothing.
        """
        return self.write_parts([data])

    def write_parts(self, parts: list[bytes | memoryview]) -> int:
        """Writes several pieces one after the other, without putting them together first.

        Returns:
            Number of bytes.

        Raises:
            OSError: The disk took a part of it or nothing.
        """
        left = [memoryview(part) for part in parts if len(part)]
        total = 0
        while left:
            written = os.writev(self._descriptor, left)
            self._position += written
            total += written
            while left and written >= len(left[0]):
                written -= len(left.pop(0))
            if left:
                left[0] = left[0][written:]
        return total

    def cut(self, size: int) -> None:
        """Shortens the file.

        Args:
            size: Bytes that stay.

        Raises:
            OSError: The file system refuses.
        """
        os.ftruncate(self._descriptor, size)
        self._position = size

    def sync(self) -> None:
        """Waits until the disk has it.

        Raises:
            OSError: The disk has not.
        """
        os.fsync(self._descriptor)

    def close(self) -> None:
        """Closes the file; may be called twice."""
        if self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            os.close(descriptor)
