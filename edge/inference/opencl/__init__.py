"""ONNX models on an OpenCL device. Reading order and design: docs/compute.md."""
