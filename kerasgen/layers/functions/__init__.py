"""What the functions of Lambda layers mean: names of modules, Python's values and operators, NumPy's constants."""
