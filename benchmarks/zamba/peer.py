"""zamba's own detector on clips, as it stands in the wheel. Runs in the environment that setup.sh makes.

Takes paths on standard input, one a line; answers each with a line of JSON: seconds to decode and to detect, and for
each picture its boxes (x0, y0, x1, y1 as shares of the picture) and scores.
"""

import json
import sys
import time
import warnings

warnings.simplefilter("ignore")

from zamba.data.video import load_video_frames  # noqa: E402  # because it warns when it is imported
from zamba.object_detection.yolox.megadetector_lite_yolox import MegadetectorLiteYoloX  # noqa: E402


def main() -> None:
    model = MegadetectorLiteYoloX()  # its defaults: confidence 0.25, NMS 0.45, 640×640, batches of 24
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        began = time.perf_counter()
        pictures = load_video_frames(line.rstrip("\n"))
        decoded = time.perf_counter()
        found = model.detect_video(pictures)
        ended = time.perf_counter()
        answer = {
            "decode_s": decoded - began,
            "detect_s": ended - decoded,
            "pictures": [{"boxes": boxes.tolist(), "scores": scores.tolist()} for boxes, scores in found],
        }
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
