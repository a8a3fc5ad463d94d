"""What every service runs on: HTTP, messaging, storage, telemetry, the process. No referral words."""
