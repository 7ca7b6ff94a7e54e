"""USB and network cameras through the real ffmpeg: a test picture for a device, and an RTSP server of our own."""

import io
import shutil
import socket
import socketserver
import subprocess
import threading
import time
from contextlib import contextmanager

import av
import pytest
from PIL import Image

from raspberry_pi.cameras import ffmpeg
from raspberry_pi.cameras.base import CameraError
from raspberry_pi.cameras.ffmpeg import FfmpegCamera, rtsp_input, v4l2_input
from raspberry_pi.cameras.opening import open_camera
from raspberry_pi.hardware_config import Burst, Clip, RtspSettings, V4l2Settings


@pytest.fixture(autouse=True)
def program(need):
    need(shutil.which("ffmpeg") is not None, "ffmpeg (Debian package ffmpeg)")


def camera_over(options, **settings):
    chosen = {"name": "test", "copy": False, "per_s": 20.0, "standby": "running", "warm_up_s": 0.0,
              "burst": Burst(), "clip": None, "with_luma": False}  # fmt: skip
    return FfmpegCamera(options, **(chosen | settings))


PATTERN = ["-re", "-f", "lavfi", "-i", "testsrc=size=320x240:rate=20"]


@contextmanager
def started(camera):
    camera.start()
    try:
        yield camera
    finally:
        camera.close()


def test_a_burst_is_of_fresh_pictures_in_their_rhythm():
    with started(camera_over(PATTERN, burst=Burst(count=3, per_s=5))) as camera:
        begin = time.monotonic()
        shots = list(camera.capture(12))
        took = time.monotonic() - begin

    assert [shot.name for shot in shots] == ["00000012-0.jpg", "00000012-1.jpg", "00000012-2.jpg"]
    assert {Image.open(io.BytesIO(shot.body)).size for shot in shots} == {(320, 240)}
    assert len({shot.body for shot in shots}) == 3
    assert 0.4 <= took < 3


def test_a_clip_reaches_back_before_the_trigger():
    with started(camera_over(PATTERN, clip=Clip(before_s=1.0, after_s=0.5))) as camera:
        time.sleep(1.5)
        *_, clip = camera.capture(1)

    with av.open(io.BytesIO(clip.body)) as video:
        times = [float(frame.time) for frame in video.decode(video=0)]
    assert clip.kind == "clip"
    assert 1.2 < times[-1] < 4
    assert clip.body.count(b"moof") > 5


def test_the_small_grey_picture_follows_the_scene():
    options = ["-re", "-f", "lavfi", "-i", "color=c=0x808080:size=320x240:rate=20"]
    with started(camera_over(options, with_luma=True)) as camera:
        for _ in range(100):
            if camera.luma() is not None:
                break
            time.sleep(0.05)
        luma = camera.luma()

    assert (luma.width, luma.height) == (64, 36)
    assert 110 < luma.mean < 145


def test_a_stopped_camera_has_no_process_between_pictures():
    camera = camera_over(PATTERN, standby="stopped", warm_up_s=0.1)
    camera.start()
    assert camera.luma() is None

    assert len(list(camera.capture(0))) == 1
    assert camera._stream is None


def test_a_device_that_is_not_there_is_told_in_ffmpegs_words(tmp_path):
    camera = open_camera(V4l2Settings("v4l2", device=tmp_path / "video9"))

    with pytest.raises(CameraError, match=r"video9.*No such file"):
        camera.start()
    camera.close()


def test_a_camera_that_ends_is_an_error_and_is_opened_again():
    short = ["-re", "-f", "lavfi", "-i", "testsrc=size=320x240:rate=20:duration=0.6"]
    with started(camera_over(short)) as camera:
        time.sleep(1.2)
        with pytest.raises(CameraError):
            camera.luma()
        with pytest.raises(CameraError):
            list(camera.capture(0))
        assert len(list(camera.capture(1))) == 1


def test_a_camera_that_falls_silent_is_given_up(monkeypatch):
    monkeypatch.setattr(ffmpeg, "ANSWER_S", 0.4)
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()  # takes the connection and says nothing
        settings = RtspSettings("rtsp", url=f"rtsp://ranger:hush@127.0.0.1:{server.getsockname()[1]}/x")
        camera = open_camera(settings)
        with pytest.raises(CameraError, match="no picture within") as caught:
            camera.start()
        camera.close()
    assert "hush" not in str(caught.value)


def test_a_password_is_in_no_complaint(tmp_path):
    (tmp_path / "url").write_text("rtsp://ranger:hush@127.0.0.1:9/stream\n")
    camera = open_camera(RtspSettings("rtsp", url_file=tmp_path / "url"))

    with pytest.raises(CameraError) as caught:
        camera.start()
    camera.close()

    assert "hush" not in str(caught.value)
    assert "refused" in str(caught.value)


def test_a_usb_cameras_own_jpeg_is_passed_on_as_it_is():
    options = v4l2_input(V4l2Settings("v4l2", size=(1280, 720)))

    assert options[:2] == ["-f", "v4l2"]
    assert "mjpeg" in options
    assert open_camera(V4l2Settings("v4l2"))._encode == ["-c:v", "copy"]


def test_a_network_camera_gives_pictures_over_rtsp():
    with (
        rtsp_server() as port,
        started(
            camera_over(rtsp_input(RtspSettings("rtsp", url=f"rtsp://127.0.0.1:{port}/cam")), name="rtsp camera")
        ) as camera,
    ):
        shots = list(camera.capture(0)) + list(camera.capture(1))

    assert [Image.open(io.BytesIO(shot.body)).size for shot in shots] == [(320, 240)] * 2


@contextmanager
def rtsp_server():
    """Serves one H.264 stream of ffmpeg's, RTP inside the RTSP connection, as network cameras do."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as media:
        media.bind(("127.0.0.1", 0))
        target = f"rtp://127.0.0.1:{media.getsockname()[1]}"
        source = ["-re", "-f", "lavfi", "-i", "testsrc=size=320x240:rate=20", "-c:v", "libx264", "-g", "10"]
        command = ["ffmpeg", "-nostdin", "-loglevel", "error", *source, "-tune", "zerolatency", "-f", "rtp", target]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        sdp = ""
        while not sdp.endswith("a=fmtp") and "packetization-mode" not in sdp:
            sdp += process.stdout.readline()
        sdp = sdp.partition("\n")[2] if sdp.startswith("SDP:") else sdp
        Conversation.sdp, Conversation.media = sdp + "a=control:track1\r\n", media
        with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Conversation) as server:
            server.daemon_threads = True
            threading.Thread(target=server.serve_forever, daemon=True).start()
            yield server.server_address[1]
            server.shutdown()
        process.kill()
        process.wait()
        process.stdout.close()


class Conversation(socketserver.StreamRequestHandler):
    """RFC 2326 as far as a player asks for it."""

    sdp = ""
    media: socket.socket

    def handle(self):
        while line := self.rfile.readline():
            verb, headers = line.split(b" ")[0].decode(), {}
            while (header := self.rfile.readline()).strip():
                name, _, value = header.decode().partition(":")
                headers[name.lower()] = value.strip()
            body = self.sdp if verb == "DESCRIBE" else ""
            answer = ["RTSP/1.0 200 OK", f"CSeq: {headers['cseq']}", "Session: 1", f"Content-Length: {len(body)}"]
            answer += ["Content-Type: application/sdp"] * bool(body) + ["Public: DESCRIBE, SETUP, PLAY, TEARDOWN"]
            answer += ["Transport: RTP/AVP/TCP;unicast;interleaved=0-1"] * (verb == "SETUP")
            self.wfile.write(("\r\n".join(answer) + "\r\n\r\n" + body).encode())
            if verb == "PLAY":
                self._play()
                return

    def _play(self):
        self.media.settimeout(2)
        try:
            while packet := self.media.recv(65_536):
                self.wfile.write(b"$\0" + len(packet).to_bytes(2, "big") + packet)
        except OSError:
            return  # the player has gone
