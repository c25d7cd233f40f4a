"""Planning: from a model that was read, and the options, to the plans of the module's functions."""
