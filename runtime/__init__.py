"""The services' common runtime: HTTP, messaging, storage, telemetry, process. It knows no referrals."""
