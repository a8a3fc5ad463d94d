"""Publications in memory, and one that fails like disks and networks."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from services.audit.log.ports import LogPublication, PublicationUnavailable


class MemoryPublication:
    """`ports.LogPublication` in a dictionary. steps: the written paths, in order."""

    def __init__(self) -> None:
        self.contents: dict[str, bytes] = {}
        self.steps: list[str] = []

    def read(self, path: str) -> bytes | None:
        return self.contents.get(path)

    def put(self, contents: Sequence[tuple[str, bytes]]) -> None:
        for path, content in contents:
            self.contents.setdefault(path, content)
            self.steps.append(path)

    def swap(self, path: str, content: bytes) -> None:
        self.contents[path] = content
        self.steps.append(path)

    def drop(self, folder: str) -> None:
        self.contents = {
            path: content for path, content in self.contents.items() if not path.startswith(folder + "/")
        }


class FailingPublication:
    """Fails on demand, before or after the operation has taken effect."""

    def __init__(self, inner: LogPublication) -> None:
        self._inner = inner
        self.before: Callable[[str], bool] = lambda step: False
        self.after: Callable[[str], bool] = lambda step: False

    def read(self, path: str) -> bytes | None:
        return self._inner.read(path)

    def put(self, contents: Sequence[tuple[str, bytes]]) -> None:
        self._failing("put", lambda: self._inner.put(contents))

    def swap(self, path: str, content: bytes) -> None:
        self._failing("swap", lambda: self._inner.swap(path, content))

    def drop(self, folder: str) -> None:
        self._failing("drop", lambda: self._inner.drop(folder))

    def _failing(self, step: str, act: Callable[[], None]) -> None:
        if self.before(step):
            raise PublicationUnavailable("not written")
        act()
        if self.after(step):
            raise PublicationUnavailable("written nevertheless")
