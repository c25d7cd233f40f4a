"""How fast a module is, beside Keras and other runtimes. Kept empty: every process that is measured imports it."""
