"""What a frozen network says of an image, computed once.

extractor   a trunk's output for views of images, in fixed padded batches
cache       the same, kept on disk
"""
