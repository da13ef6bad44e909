"""The compressor stage: a PLY of Gaussians becomes a small SOG file, a page that opens it, and pictures of it."""

import os

# Read when faiss loads its OpenMP. Otherwise idle threads would spin between k-means' many short parallel parts, which
# costs ten times the CPU time (measured on two cores).
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
