from services.routing.service import SERVICE

__all__ = ["SERVICE"]
