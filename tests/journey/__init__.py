"""Referrals on their way through a whole hub. A package, so that the hubs end with its last test."""
