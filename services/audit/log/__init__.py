"""The audit log: sequencer, tiles, checkpoints, cosignatures, retention, self-check."""
