"""Routing: which organisation is asked next, and the state of every referral and offer."""
