"""What a report shows of a model, as data, and its page."""
