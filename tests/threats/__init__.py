"""Attacks on a running hub. Each test carries one out and proves what it does not achieve."""
