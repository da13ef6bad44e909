"""How many photos a job may have, how large one and the whole upload may be, and how bright."""

MIN_PHOTOS = 5  # that a customer must send
MIN_USABLE_PHOTOS = 3  # of these, that a model needs
MAX_PHOTOS = 5_000
MAX_FRAMES = 500  # that are taken from films
MAX_PIXELS = 250_000_000  # of one photo
MAX_SIDE = 65_500  # pixels: the most that libjpeg writes, and photos are kept as JPEGs
MAX_STOPS = 20.0  # of a photo's exposure by EXIF, either way; sun on a field is about -5
MAX_UPLOAD_BYTES = 50 * 1000**3
