"""Stand-in for torchvision: only `ops.nms` and `ops.batched_nms`, for yolox.utils.boxes in a benchmark."""

from . import ops

__all__ = ["ops"]
