"""Photos from films: frames chosen by parallax and sharpness, with the places that the telemetry gives them."""
