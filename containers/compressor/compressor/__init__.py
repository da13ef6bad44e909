"""The compressor stage: a PLY of Gaussians becomes a small SOG file, a page that opens it, and pictures of it."""

import os

# OpenMP reads this when faiss loads it. Otherwise idle threads would spin between the many short parallel parts of
# k-means, which takes ten times the CPU time (measured on two cores).
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
