"""Where a submission, message or referral is, step by step, and whose turn it is. Pure."""
