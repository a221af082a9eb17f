"""Pictures that Geti takes."""

MEDIA_TYPES = {
    ".bmp": "image/bmp", ".jpeg": "image/jpeg", ".jpg": "image/jpeg", ".png": "image/png", ".tif": "image/tiff",
    ".tiff": "image/tiff",
}  # fmt: skip
"""Media types by the suffix of a file's name."""
