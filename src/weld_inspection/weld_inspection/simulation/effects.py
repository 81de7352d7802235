"""What a camera on a welding rig adds to the surface it looks at, frame by frame."""

import functools

import cv2
import numpy as np

from weld_inspection.errors import InspectionError
from weld_inspection.simulation.disturbances import Disturbances
from weld_inspection.simulation.rigs import Rig
from weld_inspection.simulation.transients import Transients

# The light is smooth: it is computed on a grid this many times coarser and scaled up.
_LIGHT_CELL = 8
# A gain of 1.0 in the 8-bit light field; gains reach 2.55.
_UNIT_GAIN = 100
_NOISE_MARGIN = 128
# Where a flash drowns the picture, blue, green and red: an arc is a little blue.
_FLASH = np.array([255.0, 246.0, 240.0])


class CameraEffects:
    """A virtual camera over a picture of a surface: vibration, light, blur, noise, flying sparks.

    The base picture may be the rendered strip of a simulated seam or a still photograph; the
    camera looks at the place ``(x, y)`` of it and the effects of frame ``k`` are added:

        effects = CameraEffects(RIGS["manual"], seed=7)
        for k in range(100):
            image, mask = effects.view(photo, photo_mask, x=400 + 6 * k, y=360, k=k, scale=1.6,
                                       angle=0.1, speed=6 * 1.6 * 20)

    The geometry (vibration, knocks, drift, height) moves image and mask alike; light, flashes,
    blur, noise, smoke, sparks and droplets in flight change the image alone. Places of the view
    outside the base picture mirror it. All is a function of the seed and ``k``: the order of calls
    does not matter.

    Attributes:
        rig: The rig whose effects these are.
        width: Width of the views in pixels.
        height: Height of the views in pixels.
        frame_rate: Frames per second.
    """

    def __init__(
        self,
        rig: Rig,
        seed: int,
        width: int = 1280,
        height: int = 720,
        frame_rate: float = 20.0,
    ) -> None:
        """Draws this camera's constants (phases of its vibration, places of its glare).

        Args:
            rig: How the camera is carried, lit and exposed.
            seed: Any non-negative integer.
            width: Width of the views in pixels, at least 64.
            height: Height of the views in pixels, at least 64.
            frame_rate: Frames per second, > 0.

        Raises:
            InspectionError: A number is out of its range.
        """
        if seed < 0:
            raise InspectionError(f"the seed of a simulated camera must be 0 or more, not {seed}")
        if width < 64 or height < 64:
            raise InspectionError(
                f"a simulated camera needs at least 64x64 pixels, not {width}x{height}"
            )
        if not frame_rate > 0:
            raise InspectionError(f"the frame rate must be above 0 Hz, not {frame_rate}")
        self.rig = rig
        self.width = width
        self.height = height
        self.frame_rate = frame_rate
        self._seed = seed
        self._cells = (-(-height // _LIGHT_CELL), -(-width // _LIGHT_CELL))
        rng = np.random.default_rng([seed, 0])
        # Six slow drifts (across, along, tilt, height, light, colour) of three sines each.
        self._frequency = rng.uniform(0.05, 0.6, (8, 3)) * [1.0, 1.9, 3.7]
        self._phase = rng.uniform(0, 2 * np.pi, (8, 3))
        # The carriage's own vibration: two tones that the frame rate folds down.
        self._tone = rng.uniform(2.0, 9.0, 2)
        self._light = self._light_field(rng)
        self._glare = self._glare_field(rng)
        self._smoke = _smoke_texture(seed % 16)
        self._transients = Transients(rig, seed, width, height)
        self._disturbances = Disturbances(rig, seed, frame_rate)

    def view(
        self,
        base_image: np.ndarray,
        base_mask: np.ndarray,
        x: float,
        y: float,
        k: int,
        *,
        scale: float = 1.0,
        angle: float = 0.0,
        speed: float = 0.0,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Frame k of a camera that looks at (x, y), and its mask.

        Args:
            base_image: (H, W, 3) uint8, BGR.
            base_mask: (H, W) uint8, 0 for sound and 255 for defect.
            x: Column of the base picture in the middle of the view; may be a fraction.
            y: Row of the base picture in the middle of the view.
            k: Number of the frame; every random effect of the frame follows from it.
            scale: View pixels to one base pixel (2 magnifies twice).
            angle: Rotation of the view's x axis against the base picture's in radians,
                positive from +x towards +y (down): the seam's direction for a photograph.
            speed: Speed of the surface through the view along x in view pixels per second,
                for the motion blur.

        Returns:
            The image, (height, width, 3) uint8 BGR, and the mask, (height, width) uint8, 0 or 255.

        Raises:
            InspectionError: A picture is of another kind, or a number out of its range.
        """
        image = self.image(base_image, x, y, k, scale=scale, angle=angle, speed=speed)
        return image, self.mask(base_mask, x, y, k, scale=scale, angle=angle)

    def image(
        self,
        base_image: np.ndarray,
        x: float,
        y: float,
        k: int,
        *,
        scale: float = 1.0,
        angle: float = 0.0,
        speed: float = 0.0,
    ) -> np.ndarray:
        """The image of view() alone. See there for the arguments."""
        if base_image.ndim != 3 or base_image.shape[2] != 3 or base_image.dtype != np.uint8:
            raise InspectionError(
                "a virtual camera needs a picture of 8-bit BGR, (H, W, 3), not "
                f"{base_image.dtype} {base_image.shape}"
            )
        size = (self.width, self.height)
        matrix = self._view_to_base(x, y, k, scale, angle)
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        image = cv2.warpAffine(
            base_image, matrix, size, flags=flags, borderMode=cv2.BORDER_REFLECT_101
        )
        blur = round(abs(speed) * self.rig.exposure)
        if blur >= 2:
            image = cv2.blur(image, (blur, 1))
        if self.rig.defocus > 0:
            image = cv2.GaussianBlur(image, (3, 3), self.rig.defocus)
        gain, veil = self._illumination(k)
        image = cv2.multiply(image, gain, dst=image, scale=1 / _UNIT_GAIN)
        image = cv2.add(image, veil, dst=image)
        self._transients.draw(image, k)
        jolt = self._disturbances.jolt(k)
        if jolt is not None:  # whatever the camera sees
            image = cv2.blur(image, (jolt.blur_x, jolt.blur_y))
        brighter, darker = _noise_tiles(self.rig.noise, self.width, self.height)
        rng = np.random.default_rng([self._seed, 1, k])
        row, column = rng.integers(0, _NOISE_MARGIN, 2)
        window = np.s_[row : row + self.height, column : column + self.width]
        image = cv2.add(image, brighter[window], dst=image)
        return cv2.subtract(image, darker[window], dst=image)

    def mask(
        self,
        base_mask: np.ndarray,
        x: float,
        y: float,
        k: int,
        *,
        scale: float = 1.0,
        angle: float = 0.0,
    ) -> np.ndarray:
        """The mask of view() alone. See there for the arguments."""
        if base_mask.ndim != 2 or base_mask.dtype != np.uint8:
            raise InspectionError(
                "a virtual camera needs a mask of 8 bits, (H, W), not "
                f"{base_mask.dtype} {base_mask.shape}"
            )
        return cv2.warpAffine(
            base_mask,
            self._view_to_base(x, y, k, scale, angle),
            (self.width, self.height),
            flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REFLECT_101,
        )

    def _drifts(self, k: int) -> np.ndarray:
        """Eight slow signals within -1 and 1 at frame k."""
        t = k / self.frame_rate
        return np.sin(2 * np.pi * self._frequency * t + self._phase) @ [0.5, 0.3, 0.2]

    def _view_to_base(self, x: float, y: float, k: int, scale: float, angle: float) -> np.ndarray:
        """The 2x3 matrix from a pixel of view k to one of the base picture."""
        if k < 0 or not scale > 0:
            raise InspectionError(
                f"a virtual camera needs a frame number of 0 or more and a scale above 0, not {k} "
                f"and {scale}"
            )
        across, along, tilt, height = self._drifts(k)[:4]
        rng = np.random.default_rng([self._seed, 2, k])
        shake_x, shake_y, shake_tilt = rng.standard_normal(3)
        tone_x, tone_y = np.sin(2 * np.pi * self._tone * k / self.frame_rate)
        rig = self.rig
        angle += rig.tilt * tilt + 0.0004 * rig.vibration * shake_tilt
        zoom = scale * (1 + rig.height_wander * height)
        dx = rig.vibration * (0.7 * shake_x + tone_x + along)
        dy = rig.drift * across + rig.vibration * (0.7 * shake_y + tone_y)
        jolt = self._disturbances.jolt(k)
        if jolt is not None:
            dx, dy = dx + jolt.shift_x, dy + jolt.shift_y
        cos, sin = np.cos(angle) / zoom, np.sin(angle) / zoom
        centre_x, centre_y = (self.width - 1) / 2 - dx, (self.height - 1) / 2 - dy
        return np.array(
            [
                [cos, -sin, x - cos * centre_x + sin * centre_y],
                [sin, cos, y - sin * centre_x - cos * centre_y],
            ]
        )

    def _grid(self) -> tuple[np.ndarray, np.ndarray]:
        """Coordinates of the light's cells from -1 to 1: (rows, 1) and (1, columns)."""
        rows, columns = self._cells
        return np.linspace(-1, 1, rows)[:, None], np.linspace(-1, 1, columns)[None, :]

    def _light_field(self, rng: np.random.Generator) -> np.ndarray:
        """The lamp's gain over the image, (rows, columns, 3) float32 on the light's cells."""
        v, u = self._grid()
        u0, v0 = rng.uniform(-0.35, 0.35, 2)
        if self.rig.light == "ring":
            distance = (u - u0) ** 2 + 0.5 * (v - v0) ** 2
        else:
            distance = 0.35 * (u - u0) ** 2 + 1.1 * (v - v0) ** 2
        shape = 1 - self.rig.falloff * (1 - np.exp(-1.1 * distance))
        colour = np.array(self.rig.colour) * rng.uniform(0.94, 1.06, 3)
        gain = shape * self.rig.brightness * rng.uniform(0.85, 1.15)
        return (gain[..., None] * colour).astype(np.float32)

    def _glare_field(self, rng: np.random.Generator) -> np.ndarray:
        """Reflections of the lamp that stay at their place in the image, as _light_field()."""
        v, u = self._grid()
        field = np.zeros(self._cells)
        for _ in range(rng.integers(1, 4)):
            u0, v0 = rng.uniform(-0.95, 0.95, 2)
            width, height = rng.uniform(0.05, 0.3), rng.uniform(0.06, 0.35)
            spot = np.exp(-(((u - u0) / width) ** 2) - ((v - v0) / height) ** 2)
            field += rng.uniform(0.25, 1.0) * spot
        if rng.random() < 0.5:  # a row of single diodes mirrored by the plate
            v0, lean = rng.uniform(-0.9, 0.9), rng.uniform(-0.15, 0.15)
            for u0 in np.linspace(-0.8, 0.8, rng.integers(5, 10)):
                distance = ((u - u0) / 0.045) ** 2 + ((v - v0 - lean * u0) / 0.08) ** 2
                field += 0.55 * np.exp(-distance)
        colour = np.array(self.rig.colour)
        return (self.rig.glare * field[..., None] * colour).astype(np.float32)

    def _illumination(self, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Frame k's gain (100 for 1.0) and the light added to it, (height, width, 3) uint8."""
        drift, warm, shine, thick = self._drifts(k)[4:]
        rng = np.random.default_rng([self._seed, 3, k])
        flicker, glint = rng.standard_normal(2)
        rig = self.rig
        level = (1 + rig.light_drift * drift) * (1 + rig.flicker * flicker)
        tint = 1 + 0.3 * rig.light_drift * warm * np.array([-1.0, 0.0, 1.0])
        gain = self._light * (level * tint).astype(np.float32)
        glare = self._glare * np.float32((0.8 + 0.35 * shine) * (1 + 2 * rig.flicker * glint))
        # Metal mirrors the lamp by its own texture; a little comes back white.
        gain = gain * (1 + glare / 130)
        veil = 0.35 * glare
        opacity = self._smoke_opacity(k, max(0.0, thick))[..., None]
        gain = gain * (1 - opacity) * _UNIT_GAIN
        veil = veil + opacity * (150 * np.float32(level))
        flash = self._disturbances.flash(k)
        if flash is not None:
            v, u = self._grid()
            distance = ((u - flash.u) / flash.width) ** 2 + ((v - flash.v) / flash.height) ** 2
            drowned = np.clip(flash.strength * np.exp(-distance), 0, 0.97)[..., None]
            gain = gain * (1 - drowned)
            veil = veil + drowned * (_FLASH - veil)
        size = (self._cells[1] * _LIGHT_CELL, self._cells[0] * _LIGHT_CELL)
        fields = []
        for field in (gain, veil):
            cells = np.clip(field, 0, 255).astype(np.uint8)
            full = cv2.resize(cells, size, interpolation=cv2.INTER_LINEAR)
            fields.append(full[: self.height, : self.width])
        return fields[0], fields[1]

    def _smoke_opacity(self, k: int, thick: float) -> np.ndarray:
        """Opacity of the smoke on the light's cells, float32: two wisps that drift apart."""
        rows, columns = self._cells
        if thick * self.rig.smoke < 0.004:
            return np.zeros(self._cells, np.float32)
        size = self._smoke.shape[0]
        t = k / self.frame_rate
        wisp = np.ones(self._cells, np.float32)
        for rise, sweep, offset in ((16.0, -23.0, 0), (31.0, -9.0, 77)):
            row = (np.arange(rows) + int(rise * t) + offset) % size
            column = (np.arange(columns) + int(sweep * t) + 2 * offset) % size
            wisp = wisp * self._smoke[row[:, None], column[None, :]]
        wisp = cv2.GaussianBlur(wisp, (0, 0), 1.5)
        return np.float32(self.rig.smoke * thick) * wisp


@functools.lru_cache(maxsize=16)
def _smoke_texture(seed: int) -> np.ndarray:
    """A (256, 256) float32 cloud from 0 to about 1.6 that repeats without an edge."""
    rng = np.random.default_rng([seed, 4])
    frequency = np.hypot(np.fft.fftfreq(256)[:, None], 2.2 * np.fft.fftfreq(256)[None, :])
    spectrum = np.fft.fft2(rng.standard_normal((256, 256))) / (frequency + 0.006) ** 1.7
    cloud = np.fft.ifft2(spectrum).real
    cloud = (cloud - cloud.mean()) / cloud.std()
    return np.clip(0.35 + 0.5 * cloud, 0, 1.6).astype(np.float32)


@functools.lru_cache(maxsize=8)
def _noise_tiles(sigma: float, width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
    """Sensor noise split into what it adds and what it takes away, both uint8 BGR.

    The tiles are larger than the image by a margin: every frame takes another window of them,
    which is much quicker than drawing noise for every frame.
    """
    rng = np.random.default_rng(5)
    shape = (height + _NOISE_MARGIN, width + _NOISE_MARGIN)
    luma = rng.standard_normal((*shape, 1), dtype=np.float32)
    chroma = rng.standard_normal((*shape, 3), dtype=np.float32)
    noise = sigma * (0.8 * luma + 0.6 * chroma)
    brighter = np.rint(np.maximum(noise, 0)).astype(np.uint8)
    darker = np.rint(np.maximum(-noise, 0)).astype(np.uint8)
    return brighter, darker
