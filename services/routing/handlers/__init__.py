"""Routing's use cases: commands change referrals, queries read them."""
