"""How many photos a job may have, and how large one and the whole upload may be."""

MIN_PHOTOS = 5  # that a customer must send
MIN_USABLE_PHOTOS = 3  # of these, that a model needs
MAX_PHOTOS = 5_000
MAX_PIXELS = 250_000_000  # of one photo
MAX_UPLOAD_BYTES = 50 * 1000**3
