"""A folder of radiographs in MURA's layout to pixels and splits.

parts         body parts, tasks and classes in their fixed order
table         the folder to a table of images
splits        train, valid and test by patient
decoding      one file to grey pixels; the one place where files are decoded
libtiff       errors of what Pillow reads compressed TIFFs by
pixels        every image's pixels, decoded once per size and kept
dataset       all of that for one task
augmentation  views of an image
synthetic     a data set drawn in MURA's layout (command)
check         counts, unreadable files, duplicates, leaks (command)
"""
