// Written by `make contract` from contract/.
export const STAGES = {"sfm": "Cameras", "3dgs": "Training", "compressor": "Compression"};
export const QUALITIES = ["preview", "standard", "high"];
export const ENDED = ["REJECTED", "SUCCEEDED", "FAILED", "STOPPED"];
export const PHOTO_SUFFIXES = [".dng", ".heic", ".heif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"];
export const MIN_PHOTOS = 5;
