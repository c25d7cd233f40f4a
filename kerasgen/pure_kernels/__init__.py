"""The functions of modules without NumPy, copied verbatim: on lists of numbers, for one sample.

They run on CPython from 3.6 on, PyPy and MicroPython. A list holds the cells of an array in order, the last axis
fastest; shapes are settings, and have no batch. Kernels are lists of rows, one for each filter.
"""
