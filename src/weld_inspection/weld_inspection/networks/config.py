"""What a network is made of: the options that its weights are saved with."""

from dataclasses import asdict, dataclass, fields
from typing import Any

from weld_inspection.errors import InspectionError

PEEPHOLES = ("channel", "none")
DECODER_INPUTS = ("encoder", "zeros")
MINIMUM_SIZE = 16  # pixels; two strides of 2 and a 5x5 kernel need that much


@dataclass(frozen=True, slots=True)
class NetworkConfig:
    """Options of a network; the defaults are the paper's numbers.

    Attributes:
        architecture: Name in the registry, such as "bi_crrn_ed_attn".
        in_channels: Channels of a frame. The paper says two without naming them; RGB is our
            reading.
        channels: Channels of every hidden layer.
        kernel_size: Side of the square kernels in pixels, odd.
        layers: CSTM layers in each direction, of the ST-Encoder and of the ST-Decoder.
        peephole: "channel" trains one peephole weight a channel, "none" leaves them out
            (our reading of the peephole terms in eq. (1)).
        decoder_input: What the lowest ST-Decoder layer reads at time t: "encoder", the encoder's
            top hidden state at t, or "zeros" (our reading of D_t^0 in eq. (5)).
        skip: Whether the S-Encoder's first layer is also read by the S-Decoder's last one, past
            what lies between them, as U-Net does it (Ronneberger et al., 2015). Not the paper's:
            the paper's masks know edges only as far as a quarter of the frame's size tells them.
        unet_channels: Channels of a U-Net that looks at each frame by itself and is read by the
            S-Decoder at the frame's own size, see `unet.basic_unet`; 0 for none. Not the paper's.
        window: T, frames in a window.
        width: Width of a frame in pixels.
        height: Height of a frame in pixels.
    """

    architecture: str
    in_channels: int = 3
    channels: int = 64
    kernel_size: int = 5
    layers: int = 2
    peephole: str = "channel"
    decoder_input: str = "encoder"
    skip: bool = False
    unet_channels: int = 0
    window: int = 10
    width: int = 160
    height: int = 90

    def __post_init__(self) -> None:
        """Checks every option.

        Raises:
            InspectionError: An option is out of its range.
        """
        for name in ("in_channels", "channels", "kernel_size", "layers", "window"):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise InspectionError(
                    f"network option {name} is {value!r}: give a whole number >= 1"
                )
        if not isinstance(self.unet_channels, int) or self.unet_channels < 0:
            raise InspectionError(
                f"network option unet_channels is {self.unet_channels!r}: give a whole number >= 0"
            )
        if not isinstance(self.skip, bool):
            raise InspectionError(f"network option skip is {self.skip!r}: give true or false")
        if self.kernel_size % 2 == 0:
            raise InspectionError(
                f"network option kernel_size is {self.kernel_size}: give an odd one"
            )
        for name in ("width", "height"):
            value = getattr(self, name)
            if not isinstance(value, int) or value < MINIMUM_SIZE:
                raise InspectionError(
                    f"network option {name} is {value!r}: give at least {MINIMUM_SIZE} pixels"
                )
        for name, allowed in (("peephole", PEEPHOLES), ("decoder_input", DECODER_INPUTS)):
            if getattr(self, name) not in allowed:
                raise InspectionError(
                    f"network option {name} is {getattr(self, name)!r}: give one of {allowed}"
                )

    def to_dict(self) -> dict[str, Any]:
        """Returns the options as plain values, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "NetworkConfig":
        """Makes a config from `to_dict`'s values.

        Raises:
            InspectionError: A name is unknown or a value is out of its range.
        """
        known = {field.name for field in fields(cls)}
        unknown = sorted(map(str, set(values) - known))
        if unknown:
            raise InspectionError(f"unknown network options {unknown}: known are {sorted(known)}")
        if "architecture" not in values:
            raise InspectionError("the network options name no architecture")
        return cls(**values)
