"""The kernels of TensorFlow Lite Micro, as the ``tflite-micro`` wheel holds them."""
