"""What a frozen network says of an image, computed once.

frozen        a search's backbones: built only where what is known of them does not do
records       what is known of a backbone's frozen layers: found out, compared with Keras, kept, read
forward       the two ways to compute them: ONNX Runtime, Keras
onnx_graph    a Keras network as an ONNX graph; onnx_layers its layers one by one
extractor     views of images through frozen layers, in fixed pieces and batches
cache         features kept on disk, within a budget; chunks one file of them, with checksums
filling       processes that fill a file together; exchange machines that fetch from one another what others extracted
"""
