"""Converts models over HTTP: uploads, a queue of conversions that survives a restart, results that expire."""
