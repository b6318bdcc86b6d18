"""Networks, losses and the training loop: the only room that imports TensorFlow.

It knows nothing of xarray, files or plugins: plain float32 arrays in, plain arrays out.
"""
