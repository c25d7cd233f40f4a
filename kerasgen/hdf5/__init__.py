"""Reads HDF5 in a sandbox: libhdf5 crashes on some damaged files, so it runs in a process with limits."""
