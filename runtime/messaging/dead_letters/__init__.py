"""Dead letters: messages that could not be processed, and the operator's access to them."""
