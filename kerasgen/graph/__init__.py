"""The graph: nodes and values, the shapes that kernels give, and what is known about kernels."""
