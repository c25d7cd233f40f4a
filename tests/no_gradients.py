"""The parity cases whose gradients are not compared with TensorFlow's, each with the reason."""

NO_GRADIENT: dict[str, str] = {}
