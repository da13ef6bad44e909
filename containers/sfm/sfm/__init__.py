"""Structure from motion: a ZIP of drone photos becomes cameras and points, metric, z up and north up."""
