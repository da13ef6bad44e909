"""Find the smallest SOG of a splat that meets a preset: the optimisation, on top of the format in `sog`."""
