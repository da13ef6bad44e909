"""Readers of the formats, besides PLY, in which other tools keep splats."""
