"""Readers of splat formats other than PLY."""
