"""From the settings to the camera."""

from ..hardware_config import CameraSettings, Picamera2Settings, ReplaySettings, V4l2Settings
from .base import Camera
from .ffmpeg import FfmpegCamera, rtsp_input, v4l2_input
from .picamera2 import PiCamera
from .replay import open_replay


def open_camera(settings: CameraSettings, *, with_luma: bool = False) -> Camera:
    """The camera that the settings ask for, not started yet. with_luma: somebody will ask what it sees.

    Raises HardwareError for what is not installed, CameraError for files that are not there.
    """
    if isinstance(settings, ReplaySettings):
        return open_replay(settings)
    if isinstance(settings, Picamera2Settings):
        return PiCamera(settings)
    is_usb = isinstance(settings, V4l2Settings)
    return FfmpegCamera(
        v4l2_input(settings) if isinstance(settings, V4l2Settings) else rtsp_input(settings),
        name=str(settings.device) if isinstance(settings, V4l2Settings) else "rtsp camera",
        copy=is_usb and settings.format == "mjpeg" if isinstance(settings, V4l2Settings) else False,
        per_s=settings.per_s,
        standby=settings.standby,
        warm_up_s=settings.warm_up_s,
        burst=settings.burst,
        clip=settings.clip,
        with_luma=with_luma,
    )
