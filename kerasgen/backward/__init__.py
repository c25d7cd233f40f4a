"""The backward pass: from a graph to the straight line that computes its gradients."""

from kerasgen.backward.differentiate import Derivative, differentiate

__all__ = ["Derivative", "differentiate"]
