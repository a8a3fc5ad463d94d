from services.intake.service import SERVICE

__all__ = ["SERVICE"]
