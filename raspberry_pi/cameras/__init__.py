"""Where pictures come from: replay, picamera2, v4l2, rtsp. Nothing is recognised here."""
