"""Domain of the log: leaves, tree, proofs, notes, checkpoints. Pure."""
