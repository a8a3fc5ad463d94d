from services.vault.service import SERVICE

__all__ = ["SERVICE"]
