#!/bin/sh
# A throw-away environment with zamba 2.7.2's own detector, for benchmarks/versus_zamba.py. Usage: setup.sh FOLDER
# zamba's pins (numpy<2, pydantic<2) don't fit ours, hence a venv of its own. Only what the detector's import chain
# really needs is installed: zamba's full set pulls mlflow, lightning and a CUDA torch. ffmpeg comes from apt.
set -eu
venv=${1:?usage: setup.sh FOLDER}
here=$(cd "$(dirname "$0")" && pwd)
if [ -e "$venv/ready" ]; then exit 0; fi
command -v ffmpeg >/dev/null || apt-get install -qq -y --no-install-recommends ffmpeg
"${PYTHON:-python3}" -m venv "$venv"
"$venv/bin/pip" install -q torch==2.13.0
"$venv/bin/pip" install -q "numpy<2" "pandas>=2,<3" "pydantic<2" "pillow<13" "opencv-python-headless<5" \
    "cloudpathlib<1" "ffmpeg-python==0.2.0" "loguru<1" appdirs packaging psutil pycocotools pyyaml tabulate tqdm
"$venv/bin/pip" install -q --no-deps zamba==2.7.2 pixeltable-yolox
# torchvision has no CPU wheel on the index; yolox takes nms and batched_nms from it, nothing else: our stand-in
site=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
"$venv/bin/python" -c 'import torchvision' 2>/dev/null || cp -r "$here/stand_in/torchvision" "$site/"
touch "$venv/ready"
