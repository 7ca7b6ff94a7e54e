"""Sessions that run ONNX models."""
