"""What makes a service brisk."""

HEARTBEAT_SECONDS = 2
CONNECT_SECONDS = 2
CONFIRM_SECONDS = 2
# Messages; a referral is two.
OUTBOX_BOUND = 40
