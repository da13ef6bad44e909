"""Survey products of a scene: orthophoto, surface model, contours, point cloud, quality report."""
