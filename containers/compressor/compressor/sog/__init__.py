"""SOG version 2 (Spatially Ordered Gaussians): Gaussians as lossless WebP images and a meta.json in one ZIP.

https://developer.playcanvas.com/user-manual/gaussian-splatting/formats/sog/

`codes.Codes` is the file's content as integers. Only the conversion between `Gaussians` and `Codes` (encode/,
`decoder`) is lossy; that between `Codes` and bytes (`container`) is exact.
"""
