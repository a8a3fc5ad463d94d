from services.audit.service import SERVICE

__all__ = ["SERVICE"]
