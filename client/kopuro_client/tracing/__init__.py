"""Traces a submission, message or referral step by step, and decides whose turn it is. Pure."""
