"""A whole hop on the device, frame in, boxes out, finds the animals that the host finds on real stills."""

import cv2
import numpy as np
import onnx
import onnxruntime

from edge.compute.device import Device
from edge.compute.vision import Vision
from edge.inference.opencl.execute import bind
from edge.inference.opencl.fuse import fuse
from edge.inference.opencl.importer import import_model
from edge.inference.opencl.plan import plan_graph
from edge.inference.postprocess import nms_by_class
from edge.inference.preprocess import letterbox, to_batch
from edge.models.card import read_card
from plugins.decoders import yolox


def overlap(first, second):
    """IoU of each box with the one at its place."""
    sides = np.minimum(first[:, 2:], second[:, 2:]) - np.maximum(first[:, :2], second[:, :2])
    shared = np.prod(np.maximum(sides, 0), axis=1)
    areas = [np.prod(each[:, 2:] - each[:, :2], axis=1) for each in (first, second)]
    return shared / (areas[0] + areas[1] - shared)


def test_a_whole_hop_finds_the_animals_that_the_host_finds(tmp_path, models_dir, shared_media):
    card = read_card(models_dir / "megadetector-lite")
    model = onnx.load(card.onnx_path)
    host = onnxruntime.InferenceSession(card.onnx_path)
    name = model.graph.input[0].name
    graph = fuse(import_model(model, shapes={name: (1, 3, *card.input_hw)}))
    stills = sorted((shared_media / "stills").glob("ena24_*.jpg"))
    least, found = 1.0, 0

    with (
        Device.open("opencl", cache_dir=tmp_path) as device,
        bind(plan_graph(graph, device.capability), device) as bound,
        Vision(device) as vision,
    ):
        (source,), (output,) = bound.plan.inputs.values(), bound.plan.outputs.values()
        for path in stills:
            bgr = cv2.imread(str(path))
            frame = vision.upload_frame(bgr)
            placement = vision.letterbox(frame, into=bound.buffers[source.storage], card=card)
            bound.launch()
            raw = bound.buffers[output.storage]
            (boxes,) = vision.boxes(raw, output.shape, decoder="yolox", min_score=card.min_score, iou=card.nms_iou)
            vision.release(frame)

            sheet, placed = letterbox(bgr, size_hw=card.input_hw, fill=card.fill, anchor="topleft")
            (wanted,) = yolox.decode(host.run(None, {name: to_batch([sheet], card)}), card)
            kept = nms_by_class(wanted, iou=card.nms_iou)
            assert placement == placed
            assert boxes.classes.tolist() == wanted.classes[kept].tolist(), path.name
            np.testing.assert_allclose(boxes.scores, wanted.scores[kept], atol=0.005, err_msg=path.name)
            if len(kept):
                least = min(least, float(overlap(boxes.xyxy_px, wanted.xyxy_px[kept]).min()))
            found += len(kept)

    assert found >= 5
    assert least >= 0.98
