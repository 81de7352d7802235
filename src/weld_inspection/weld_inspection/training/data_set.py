"""What tells one data set from another: the `dataset.json` and its clips' metadata."""

import hashlib
import json
from pathlib import Path

from weld_inspection.training.clip_metadata import METADATA_NAME, ClipError

DATASET_NAME = "dataset.json"
DIGEST_DIGITS = 12  # of what is kept and told


def clip_digest(folder: Path) -> str:
    """Returns the SHA-256 of a clip's clip.json."""
    return hashlib.sha256((folder / METADATA_NAME).read_bytes()).hexdigest()


def clip_digests(folder: Path) -> set[str]:
    """Returns `clip_digest` of each clip of a data set, or of the clip that the folder is."""
    return {clip_digest(file.parent) for file in _metadata_files(folder)}


def short_clip_digests(folder: Path) -> set[str]:
    """Returns the first digits of `clip_digests`."""
    return {digest[:DIGEST_DIGITS] for digest in clip_digests(folder)}


def set_digest(folder: Path) -> str:
    """Returns a short digest of a data set or a clip: of its dataset.json or clip.json files."""
    files = [folder / DATASET_NAME]
    if not files[0].is_file():
        files = _metadata_files(folder)
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()[:DIGEST_DIGITS]


def _metadata_files(folder: Path) -> list[Path]:
    return sorted([*folder.glob(METADATA_NAME), *folder.glob(f"*/{METADATA_NAME}")])


def check_whole(folder: Path) -> None:
    """Holds a data set's clips against its `dataset.json`, where it has one.

    Raises:
        ClipError: A clip is missing, is another one or is not listed, or the list cannot be read.
    """
    file = folder / DATASET_NAME
    if not file.is_file():
        return
    try:
        listed = {clip["name"]: clip["sha256"] for clip in json.loads(file.read_text())["clips"]}
        folders = [path.parent for path in folder.glob(f"*/{METADATA_NAME}")]
        there = {path.name: clip_digest(path) for path in folders if path.name[0] != "."}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ClipError(f"{file} or a clip that it lists cannot be read: {error}") from error
    for name in sorted(listed.keys() | there.keys()):
        if listed.get(name) != there.get(name):
            what = "is missing of those" if name not in there else "is not the clip"
            raise ClipError(
                f"{folder / name} {what} listed in {file}: make the set again, or remove that file "
                "to use the clips as they are"
            )
