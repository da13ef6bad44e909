"""The 3dgs stage: trains Gaussians on the photos of a scene, starting from the points of structure from motion."""
