"""Bearer tokens: keys, signing and verification."""
