"""What a module shall compute, and with which options: from a model that was read to the plans of its functions."""
