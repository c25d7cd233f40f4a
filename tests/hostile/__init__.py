"""The faults that a model from a stranger can have, by number: how a file with each is made, and what is said of it.

| faults | table |
|---|---|
| 1 to 10 | `containers` |
| 11 to 21 | `hdf5` |
| 22 to 34, 50, 51 | `configs` |
| 35 to 39 | `weights` |
| 40 to 49 are of the surroundings, not of the file | `tests/test_surroundings.py` |
"""
