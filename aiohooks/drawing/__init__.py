"""What was found, drawn on pictures. Loads OpenCV and Pillow."""

from aiohooks.drawing.annotated import draw_annotations

__all__ = ["draw_annotations"]
