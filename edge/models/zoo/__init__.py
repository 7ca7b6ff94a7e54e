"""Random-weight ONNX models of true architecture: what `tigrillo bench`, parity tests and `make gfx803` run.

Nothing here is trained and nothing is downloaded. Start at zoo.py (`ZOO`, `build`); builder.py writes graphs, layers.py
has the blocks that several models share, one file a family holds its architecture, quantise.py makes the INT8 form and
flops.py counts multiplications and additions of any model.
"""
