"""Intake: the partner's door. It admits or refuses, never both, and cannot open what it passes on."""
