"""What a frozen network says of an image, computed once.

frozen        what is known of a backbone's frozen layers, and who computes them
forward       the two ways to compute them: ONNX Runtime, Keras
onnx_graph    a Keras network as an ONNX graph; onnx_layers its layers one by one
extractor     views of images through frozen layers, in fixed padded batches
cache         features kept on disk, within a budget; chunks one file of them, with checksums
"""
