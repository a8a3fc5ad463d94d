"""Intake: the partners' API. It admits or refuses each submission and cannot open the sealed cases."""
