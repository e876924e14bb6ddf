from typing import TypedDict

class _Build(TypedDict):
    compiler: str
    levels: tuple[str, ...]
    openmp: int

BUILD: _Build

def level() -> str: ...
def max_threads() -> int: ...
def before_fork() -> None: ...
