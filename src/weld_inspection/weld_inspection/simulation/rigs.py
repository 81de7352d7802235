"""The two camera rigs: one pushed by hand (for training), one on the machine (for validation)."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rig:
    """How a camera is carried, lit and exposed. Lengths in image pixels are camera pixels.

    Attributes:
        name: Name of the rig.
        speed: Mean speed along the seam in m/s.
        speed_wander: Largest deviation from the mean speed as a fraction of it, < 1.
        metres_per_pixel: Metres of plate to one pixel of a 1280 pixel wide image.
        height_wander: Largest relative change of scale as the camera's height wanders.
        drift: Largest slow shift of the image across the seam, pixels.
        vibration: Standard deviation of the shift from frame to frame, pixels.
        tilt: Largest slow rotation of the image, radians.
        exposure: Exposure time in s; with the speed it sets the motion blur.
        defocus: Standard deviation of the blur of the lens, pixels; 0 for a sharp one.
        light: "ring" (bright centre) or "bar" (bright band above the seam).
        falloff: Loss of light from the brightest place to the corners, 0 to 1.
        brightness: Mean gain of the light.
        flicker: Standard deviation of the light's gain from frame to frame.
        light_drift: Largest slow change of the light's gain and colour.
        colour: Gains of blue, green and red: the light's colour times the white balance.
        glare: Brightness of the light's reflections, fixed to the camera, 0 to 255.
        noise: Standard deviation of the sensor noise, grey levels.
        smoke: Largest opacity of smoke wisps, 0 to 1.
        sparks: Mean number of sparks born in a frame.
        spatter: Mean number of groups of dark droplets in flight born in a frame.
        jolts: Mean number of knocks to the camera in a second.
        flashes: Share of the frames that a flash of the arc blinds in part, 0 to 1.
        defects_per_metre: Planted defects to a metre of seam, unless asked otherwise.
        defect_spacing: Least distance between the centres of two defects, metres.
    """

    name: str
    speed: float
    speed_wander: float
    metres_per_pixel: float
    height_wander: float
    drift: float
    vibration: float
    tilt: float
    exposure: float
    defocus: float
    light: str
    falloff: float
    brightness: float
    flicker: float
    light_drift: float
    colour: tuple[float, float, float]
    glare: float
    noise: float
    smoke: float
    sparks: float
    spatter: float
    jolts: float
    flashes: float
    defects_per_metre: float
    defect_spacing: float


RIGS: dict[str, Rig] = {
    # Pushed along the seam by hand: unsteady in speed, height and light, and dense in defects,
    # so that about one pixel in thirty is defect, as in the paper's training set.
    "manual": Rig(
        name="manual",
        speed=0.045,
        speed_wander=0.33,
        metres_per_pixel=4.0e-5,
        height_wander=0.05,
        drift=34.0,
        vibration=1.6,
        tilt=0.022,
        exposure=0.003,
        defocus=0.7,
        light="ring",
        falloff=0.5,
        brightness=1.2,
        flicker=0.03,
        light_drift=0.16,
        colour=(0.97, 1.0, 1.04),
        glare=95.0,
        noise=4.0,
        smoke=0.28,
        sparks=1.2,
        spatter=1.0,
        jolts=2.0,
        flashes=0.12,
        defects_per_metre=32.0,
        defect_spacing=0.021,
    ),
    # On the carriage of the welding machine, behind the torch: steady, nearer, lit by a bar.
    "automatic": Rig(
        name="automatic",
        speed=0.020,
        speed_wander=0.0,
        metres_per_pixel=3.75e-5,
        height_wander=0.008,
        drift=6.0,
        vibration=0.5,
        tilt=0.004,
        exposure=0.002,
        defocus=0.0,
        light="bar",
        falloff=0.42,
        brightness=1.15,
        flicker=0.012,
        light_drift=0.07,
        colour=(1.05, 1.0, 0.96),
        glare=70.0,
        noise=2.5,
        smoke=0.34,
        sparks=2.0,
        spatter=1.0,
        jolts=2.0,
        flashes=0.12,
        defects_per_metre=9.0,
        defect_spacing=0.075,
    ),
}
