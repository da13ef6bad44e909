"""Survey products of a scene: orthophoto, surface model, point cloud, quality report."""
