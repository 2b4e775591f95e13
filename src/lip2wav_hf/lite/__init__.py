"""Speaking without PyTorch: a model's generator in ONNX, in two files beside its weights, which they share."""
