"""Routing: which organisation is asked next, and what becomes of every referral and offer."""
