"""The NumPy functions that the backward pass of a generated module consists of, copied verbatim.

`d` is the gradient of a kernel's result; what a function returns is the gradient of the operand that its name ends
with, or of the first one. Formulas are those of `tf.GradientTape`.
"""
