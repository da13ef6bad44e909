// Written by `make contract` from contract/.
export const STAGES = {"sfm": "Cameras", "3dgs": "Training", "compressor": "Compression"};
export const QUALITIES = ["preview", "standard", "high"];
export const ENDED = ["REJECTED", "SUCCEEDED", "FAILED", "STOPPED"];
export const PHOTO_SUFFIXES = [".dng", ".heic", ".heif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"];
export const FILM_SUFFIXES = [".m4v", ".mov", ".mp4"];
export const FILM_BOXES = ["ftyp", "moov", "mdat", "wide", "skip", "free", "pnot"];
export const PICTURE_BRANDS = ["heic", "heix", "heim", "heis", "hevc", "hevx", "mif1", "msf1", "avif", "avis", "crx "];
export const TELEMETRY_SUFFIX = ".srt";
export const SPLAT_SUFFIXES = [".ply", ".sog", ".splat", ".spz"];
export const CONTROL_POINT_FILES = ["gcp_list.txt"];
export const MODEL_FILES = ["cameras.bin", "images.bin", "points3D.bin", "cameras.txt", "images.txt", "points3D.txt"];
export const UNREADABLE_SUFFIXES = [".360", ".arw", ".avi", ".avif", ".bmp", ".cr2", ".cr3", ".gif", ".insv", ".jxl", ".mkv", ".mts", ".nef", ".orf", ".pdf", ".raf", ".rw2", ".webm"];
export const ZIP_METHODS = [0, 8, 9, 12, 14, 93, 95];
export const MIN_PHOTOS = 5;
export const MAX_PHOTOS = 5000;
export const MAX_UPLOAD_BYTES = 50000000000;
export const REFUSALS = {"NOT_A_ZIP": {"message": "The file is not a ZIP archive.", "hint": "Put the photos in a folder, compress the folder as a .zip (not .rar or .7z) and upload that file."}, "EMPTY_ARCHIVE": {"message": "The ZIP is empty.", "hint": "Check that the photos were copied from the drone's card, compress them again and upload the new ZIP."}, "ENCRYPTED_ARCHIVE": {"message": "The ZIP is protected with a password, so we cannot read the photos.", "hint": "Compress the photos again without a password and upload the new ZIP."}, "UNSUPPORTED_ARCHIVE": {"message": "The ZIP is packed in a way that we cannot read.", "hint": "Compress the photos again into one ZIP, by the ordinary method (Deflate) or without compression."}, "ARCHIVE_TOO_LARGE": {"message": "The ZIP would unpack to far more than photos can take.", "hint": "Upload a ZIP that holds only the photos; split very large flights into several uploads."}, "NO_PHOTOS": {"message": "There are no photos in the ZIP.", "hint": "Upload a ZIP with JPEG, PNG, TIFF, WebP, HEIC or DNG photos; ZIPs inside the ZIP are not opened."}, "UNSUPPORTED_PHOTOS": {"message": "The photos are in a format that we cannot read.", "hint": "Export them as JPEG (or PNG, TIFF, WebP, HEIC, DNG); a film as MP4 or MOV."}, "TOO_FEW_PHOTOS": {"message": "There are too few usable photos to work out the shape of the place.", "hint": "Send at least 5 photos that overlap; 20 or more, each sharing most of its view with the next, work best."}, "TOO_MANY_PHOTOS": {"message": "There are more photos than one job can take.", "hint": "Split the flight into several ZIPs of at most 5,000 photos each."}, "INVALID_SPLAT": {"message": "The file is not a Gaussian splat that we can read.", "hint": "Upload the .ply (or .spz, .sog, .splat) that 3D Gaussian splatting tools export, on its own or as the only splat in a ZIP."}};
