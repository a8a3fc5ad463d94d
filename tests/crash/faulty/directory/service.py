from services.directory.service import SERVICE

__all__ = ["SERVICE"]
