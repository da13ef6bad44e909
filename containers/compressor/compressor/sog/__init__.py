"""SOG version 2 (Spatially Ordered Gaussians): Gaussians as lossless WebP images and a meta.json in one ZIP.

https://developer.playcanvas.com/user-manual/gaussian-splatting/formats/sog/

`codes.Codes` is the file's content as integers; everything lossy happens between `Gaussians` and `Codes`
(`quantise`, `dequantise`), everything between `Codes` and bytes (`container`) is exact.
"""
