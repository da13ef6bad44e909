"""From a splat to the smallest SOG that keeps to a preset: the optimisation, on top of the format in `sog`."""
