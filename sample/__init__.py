"""The project's own sample: a procedural property photographed by a drone, with the truth known.

`python -m sample OUT_DIR` writes `sample.zip` (JPEGs with EXIF) and `poses.json` (where each photo was taken).
"""
