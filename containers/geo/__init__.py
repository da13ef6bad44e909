"""Where a scene is on Earth: its local frame in a projected coordinate system."""
