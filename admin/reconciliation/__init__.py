"""The log compared with what each service holds."""
