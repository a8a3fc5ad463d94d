"""The vault's pure decisions about cases in custody."""
