"""The graph: nodes and values, shape inference, and facts about kernels."""
