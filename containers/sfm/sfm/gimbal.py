"""The camera's angles from XMP, where makers mean different things by them.

DJI (http://www.dji.com/drone-dji/1.0/), Autel, who writes DJI's names or the same under its own prefix, and Parrot
(http://www.parrot.com/drone-parrot/1.0/) give the camera's own angles. Skydio (drone-skydio:CameraOrientationNED) gives
the same in a structure; its CameraOrientationFLU has the pitch the other way round. Pix4D's Camera tags, which
senseFly, MicaSense and older Parrot cameras write, give those of a vehicle whose camera looks down: pitch 0 is straight
down.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from sfm.xmp import block_of, number_of

_OWN_ANGLES = (
    ("drone-dji:GimbalPitchDegree", "drone-dji:GimbalRollDegree"),
    ("drone-autel:GimbalPitchDegree", "drone-autel:GimbalRollDegree"),
    ("drone-parrot:CameraPitchDegree", "drone-parrot:CameraRollDegree"),
    ("drone-dji:CameraPitchDegree", "drone-dji:CameraRollDegree"),
    ("drone-skydio:GimbalPitchDegree", "drone-skydio:GimbalRollDegree"),
)
_ROLLS_THE_OTHER_WAY = "sensefly"


@dataclass(frozen=True)
class Gimbal:
    """Camera angles in degrees: pitch −90 looks straight down, 0 at the horizon; roll 0 is level."""

    pitch: float
    roll: float


def gimbal_of(xmp: str, make: str) -> Gimbal | None:
    """The camera's angles; None if the photo has no plausible ones."""
    for pitch_name, roll_name in _OWN_ANGLES:
        if (pitch := number_of(xmp, pitch_name)) is not None:
            return _plausible(pitch, number_of(xmp, roll_name))
    for name, sign in (("drone-skydio:CameraOrientationNED", 1), ("drone-skydio:CameraOrientationFLU", -1)):
        block = block_of(xmp, name)
        if (pitch := number_of(block, "drone-skydio:Pitch")) is not None:
            return _plausible(sign * pitch, number_of(block, "drone-skydio:Roll"))
    pitch, roll = number_of(xmp, "Camera:Pitch"), number_of(xmp, "Camera:Roll") or 0.0
    if pitch is None or not -180 <= pitch <= 180:
        return None
    return _of_vehicle(pitch, -roll if make.lower().startswith(_ROLLS_THE_OTHER_WAY) else roll)


def _plausible(pitch: float, roll: float | None) -> Gimbal | None:
    return Gimbal(pitch, roll or 0.0) if -180 <= pitch <= 180 else None


def _of_vehicle(pitch: float, roll: float) -> Gimbal:
    """The camera's own angles of a camera that looks down from a vehicle with these (yaw, pitch, roll about NED).

    The vertical in the vehicle's axes (forward, right, down) is the camera's up, right and forward in turn.
    """
    theta, phi = math.radians(pitch), math.radians(roll)
    own_pitch = math.asin(max(-1.0, min(1.0, -math.cos(theta) * math.cos(phi))))
    own_roll = math.atan2(math.cos(theta) * math.sin(phi), math.sin(theta))
    return Gimbal(math.degrees(own_pitch), math.degrees(own_roll))
