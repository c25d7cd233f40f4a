"""Runs modules without NumPy for other processes: started by tests/interpreters.py in CPython, PyPy and MicroPython.

Each line on stdin is a list of paths as JSON: of the module, of the inputs as JSON, and of the file for the outputs.
Each line on stdout is what went wrong, or "".
"""

import json
import sys


def run(path, inputs, outputs):
    with open(path) as file:
        source = file.read()
    module = {"__name__": "generated", "__file__": path}
    exec(source, module)
    with open(inputs) as file:
        arrays = json.load(file)
    result = module["predict"](*arrays)
    if isinstance(result, dict):
        result = list(result.values())
    elif len(module["OUTPUTS"]) == 1:
        result = [result]
    with open(outputs, "w") as file:
        file.write(repr(result))  # MicroPython writes numbers that are not finite into JSON, too
    assert len(module["predict"](*[array[:1] for array in arrays])) > 0
    return "numpy" in sys.modules


def tell(line):
    """Print a line at once, not when the pipe's buffer is full."""
    print(line)
    if hasattr(sys.stdout, "flush"):
        sys.stdout.flush()


tell(sys.implementation.name + " " + sys.version.split()[0])
while True:
    line = sys.stdin.readline()
    if not line:
        break
    problem = ""
    try:
        if run(*json.loads(line)):
            problem = "it imports NumPy"
    except Exception as error:
        problem = type(error).__name__ + ": " + str(error)
    tell(json.dumps(problem))
