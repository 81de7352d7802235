"""Definitions of message types, as a bag carries them for readers that do not have the package."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from rosbags.typesys.base import TypesysError

from weld_inspection.recording.errors import RecordingError

SEPARATOR = "=" * 80


@dataclass(frozen=True, slots=True)
class MessageDefinition:
    """What a bag says of a message type.

    Attributes:
        text: The .msg text, followed by those of the types it is made of.
        type_hash: RIHS01 hash of the type (REP 2011).
    """

    text: str
    type_hash: str


class DefinitionStore:
    """Message types of Jazzy and of the packages whose .msg files are given."""

    def __init__(self, packages: Sequence[Path]) -> None:
        """Reads the .msg files.

        Args:
            packages: Share folders of packages (the folder's name is the package's); each has its
                definitions in `msg/`.

        Raises:
            RecordingError: A folder has no definitions, or one cannot be understood.
        """
        self._store = get_typestore(Stores.ROS2_JAZZY)
        self._texts: dict[str, str] = {}
        types = {}
        for package in packages:
            files = sorted((package / "msg").glob("*.msg"))
            if not files:
                raise RecordingError(f"no message definitions in {package / 'msg'}")
            for file in files:
                name = f"{package.name}/msg/{file.stem}"
                self._texts[name] = file.read_text(encoding="utf-8").strip()
                try:
                    types.update(get_types_from_msg(self._texts[name], name))
                except TypesysError as error:
                    raise RecordingError(f"cannot understand {file}: {error}") from error
        if types:
            self._store.register(types)

    def definition(self, message_type: str) -> MessageDefinition:
        """Looks a type up.

        Args:
            message_type: Such as `weld_interfaces/msg/DefectReport`.

        Returns:
            Its definition with all it depends on; comments of the given packages are kept.

        Raises:
            RecordingError: The type is not known.
        """
        try:
            generated, _ = self._store.generate_msgdef(message_type, ros_version=2)
            type_hash = self._store.hash_rihs01(message_type)
        except (TypesysError, KeyError) as error:
            raise RecordingError(f"message type {message_type} is not known") from error
        own, *others = generated.split(f"{SEPARATOR}\n")
        sections = [self._texts.get(message_type, own.strip())]
        for other in others:
            head, _, body = other.partition("\n")
            package, _, name = head.removeprefix("MSG: ").strip().partition("/")
            full_name = f"{package}/msg/{name.removeprefix('msg/')}"
            sections.append(f"{head}\n{self._texts.get(full_name, body.strip())}")
        return MessageDefinition(f"\n{SEPARATOR}\n".join(sections) + "\n", type_hash)
