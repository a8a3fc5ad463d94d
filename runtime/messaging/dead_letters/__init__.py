"""Dead letters: messages that could not be processed, and the operators' access to them."""
