"""The language of the network: pure types, schemas, vocabularies. No I/O but reading its own files."""
