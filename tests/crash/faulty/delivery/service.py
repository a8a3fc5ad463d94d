from services.delivery.service import SERVICE

__all__ = ["SERVICE"]
