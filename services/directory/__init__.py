"""The directory: who is in the network, what they offer and have agreed, and who may speak for them."""
