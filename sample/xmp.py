"""Write the gimbal's angles in the XMP namespace that drone photos share.

http://www.dji.com/drone-dji/1.0/; the packet as in Adobe's XMP Specification Part 3 (JPEG).
"""

from math import asin, atan2, degrees

from sample.camera import Camera

PACKET = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about="" xmlns:drone-dji="http://www.dji.com/drone-dji/1.0/"
   drone-dji:GimbalPitchDegree="{pitch:+.2f}"
   drone-dji:GimbalRollDegree="{roll:+.2f}"
   drone-dji:GimbalYawDegree="{yaw:+.2f}"/>
 </rdf:RDF>
</x:xmpmeta>
<?xpacket end="w"?>"""


def gimbal_angles(camera: Camera) -> tuple[float, float, float]:
    """Pitch (−90 looks straight down, 0 at the horizon), roll and yaw (clockwise from north), in degrees."""
    right, down, forward = camera.world_to_camera[:3, :3]
    pitch = degrees(asin(max(-1.0, min(1.0, float(forward[2])))))
    return pitch, degrees(atan2(-right[2], -down[2])), degrees(atan2(forward[0], forward[1]))


def photo_xmp(camera: Camera) -> bytes:
    """The packet of a photo; angles to a tenth of a degree, as drones give them."""
    pitch, roll, yaw = (round(angle, 1) + 0.0 for angle in gimbal_angles(camera))
    return PACKET.format(pitch=pitch, roll=roll, yaw=yaw).encode()
