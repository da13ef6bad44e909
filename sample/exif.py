"""Write and read the metadata of a drone's photo as EXIF 2.32 (CIPA DC-008)."""

from datetime import datetime

from PIL import Image
from PIL.ExifTags import GPS, IFD, Base
from PIL.TiffImagePlugin import IFDRational

from sample.flight import Lens
from sample.geodesy import Geodetic

SECOND_PARTS = 100_000  # of an arc second: 0.3 mm on the ground


def rational(value: float, denominator: int) -> IFDRational:
    """The value rounded to whole parts of `denominator`."""
    return IFDRational(round(value * denominator), denominator)


def sexagesimal(degrees: float) -> tuple[IFDRational, IFDRational, IFDRational]:
    """Degrees, minutes and seconds of a non-negative angle; rounding the seconds never makes them 60."""
    parts = round(degrees * 3600 * SECOND_PARTS)
    minutes, seconds = divmod(parts, 60 * SECOND_PARTS)
    whole, minutes = divmod(minutes, 60)
    return IFDRational(whole, 1), IFDRational(minutes, 1), IFDRational(seconds, SECOND_PARTS)


def from_sexagesimal(parts: tuple[IFDRational, IFDRational, IFDRational], reference: str) -> float:
    """Signed degrees from EXIF's degrees, minutes, seconds and N, S, E or W."""
    whole, minutes, seconds = (float(part) for part in parts)
    degrees = whole + minutes / 60 + seconds / 3600
    return -degrees if reference in "SW" else degrees


def photo_exif(lens: Lens, size: tuple[int, int], gps: Geodetic, when: datetime, number: int) -> Image.Exif:
    """EXIF of photo `number` (1…), `size` (width, height) pixels, taken at `when` (UTC) from `gps`."""
    width, height = size
    stamp = when.strftime("%Y:%m:%d %H:%M:%S")
    exif = Image.Exif()
    exif[Base.Make] = lens.make
    exif[Base.Model] = lens.model
    exif[Base.Software] = "spaceport sample"
    exif[Base.Orientation] = 1
    exif[Base.XResolution] = IFDRational(72, 1)
    exif[Base.YResolution] = IFDRational(72, 1)
    exif[Base.ResolutionUnit] = 2
    exif[Base.DateTime] = stamp
    exif.get_ifd(IFD.Exif).update(
        {
            Base.ExposureTime: IFDRational(1, 1000),
            Base.FNumber: IFDRational(28, 10),
            Base.ISOSpeedRatings: 100,
            Base.ExifVersion: b"0232",
            Base.DateTimeOriginal: stamp,
            Base.DateTimeDigitized: stamp,
            Base.OffsetTimeOriginal: "+00:00",
            Base.SubsecTimeOriginal: f"{when.microsecond // 1000:03d}",
            Base.FocalLength: rational(lens.focal_mm, 100),
            Base.FocalLengthIn35mmFilm: lens.focal_35mm,
            Base.ExifImageWidth: width,
            Base.ExifImageHeight: height,
            Base.ColorSpace: 1,
            Base.ImageNumber: number,
            Base.BodySerialNumber: "000001",
        }
    )
    time = (
        IFDRational(when.hour, 1),
        IFDRational(when.minute, 1),
        rational(when.second + when.microsecond / 1e6, 1000),
    )
    exif.get_ifd(IFD.GPSInfo).update(
        {
            GPS.GPSVersionID: b"\x02\x03\x00\x00",
            GPS.GPSLatitudeRef: "N" if gps.latitude >= 0 else "S",
            GPS.GPSLatitude: sexagesimal(abs(gps.latitude)),
            GPS.GPSLongitudeRef: "E" if gps.longitude >= 0 else "W",
            GPS.GPSLongitude: sexagesimal(abs(gps.longitude)),
            GPS.GPSAltitudeRef: b"\x00" if gps.altitude >= 0 else b"\x01",
            GPS.GPSAltitude: rational(abs(gps.altitude), 1000),
            GPS.GPSTimeStamp: time,
            GPS.GPSDateStamp: when.strftime("%Y:%m:%d"),
            GPS.GPSMapDatum: "WGS-84",
        }
    )
    return exif


def gps_of(exif: Image.Exif) -> Geodetic:
    """Read the GPS position from EXIF. Raises KeyError when there is none."""
    gps = exif.get_ifd(IFD.GPSInfo)
    below = bytes(gps[GPS.GPSAltitudeRef])[:1] == b"\x01"
    altitude = float(gps[GPS.GPSAltitude])
    return Geodetic(
        from_sexagesimal(gps[GPS.GPSLatitude], gps[GPS.GPSLatitudeRef]),
        from_sexagesimal(gps[GPS.GPSLongitude], gps[GPS.GPSLongitudeRef]),
        -altitude if below else altitude,
    )
