from runtime.application import Application
from runtime.settings import Settings
from services.directory import bootstrap
from tests.crash.faulty.assembly import with_faults


def build(settings: Settings) -> Application:
    return with_faults(bootstrap.build, settings)
