"""ONNX graphs built from published checkpoints."""
