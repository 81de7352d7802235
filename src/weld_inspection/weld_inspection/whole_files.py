"""Files that are there whole or not at all, whoever reads them meanwhile."""

from pathlib import Path


def part_of(path: Path) -> Path:
    """The file that `write_whole` writes first, and that an interruption leaves."""
    return path.with_name(path.name + ".part")


def write_whole(path: Path, content: str | bytes) -> None:
    """Writes a file beside its place, then puts it there.

    Args:
        path: Is replaced if it is there.
        content: Text is written as UTF-8.

    Raises:
        OSError: It cannot be written; what was there before is as it was, and a part of the new one
            may lie beside it.
    """
    part = part_of(path)
    part.write_bytes(content.encode() if isinstance(content, str) else content)
    part.replace(path)
