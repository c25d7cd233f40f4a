"""Derivatives of kernels: a rule for each, which emits the nodes that compute the gradient of an operand.

The table of facts names the rule of each kernel. A rule is called with the node, as a `Call`, and the position of the
operand whose gradient is wanted; it returns the name of that gradient, None if there is none.
"""
