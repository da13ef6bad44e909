"""The compressor stage: a PLY of Gaussians becomes a small SOG file, a page that opens it, and pictures of it."""
