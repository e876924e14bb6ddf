"""
The compiled modules as files: what they export, what they need, and what they are protected by.

ELF as in the System V ABI: <https://refspecs.linuxfoundation.org/elf/elf.pdf>.
"""

import struct
import sys
from pathlib import Path

import pytest

import fastconv

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="no ELF files")

MODULES = sorted(Path(fastconv.__file__).parent.glob("_*.so"))
# Types of program headers and of sections, tags of the dynamic section, flags.
LOAD, DYNAMIC, GNU_STACK, GNU_RELRO = 1, 2, 0x6474E551, 0x6474E552
DYNSYM = 11
NEEDED, RPATH, BIND_NOW, RUNPATH, FLAGS, FLAGS_1 = 1, 15, 24, 29, 30, 0x6FFFFFFB
EXECUTABLE, WRITEABLE = 1, 2
NOW = {FLAGS: 8, FLAGS_1: 1}

LIBRARIES = ("libc.", "libm.", "libpthread.", "libgomp", "libomp", "libgcc_s.", "libpython")
LIBRARIES += ("ld-", "ld64.")  # the loader


class Elf:
    """A 64-bit ELF file."""

    def __init__(self, path):
        self.data = path.read_bytes()
        assert self.data[:5] == b"\x7fELF\x02"
        self.order = "<" if self.data[5] == 1 else ">"
        programs, sections = self.unpack("QQ", 32)
        size, count, section_size, section_count = self.unpack("HHHH", 54)
        # type, flags, offset, address, physical address, size in file and memory, alignment
        self.headers = [self.unpack("IIQQQQQQ", programs + i * size) for i in range(count)]
        # name, type, flags, address, offset, size, link, info, alignment, size of an entry
        places = [sections + i * section_size for i in range(section_count)]
        self.sections = [self.unpack("IIQQQQIIQQ", place) for place in places]
        (at,) = (header[2] for header in self.headers if header[0] == DYNAMIC)
        self.dynamic = []
        while (entry := self.unpack("qQ", at))[0]:
            self.dynamic.append(entry)
            at += 16
        (self.symbols,) = (section for section in self.sections if section[1] == DYNSYM)

    def unpack(self, form, offset):
        return struct.unpack_from(self.order + form, self.data, offset)

    def tagged(self, tag):
        return [value for key, value in self.dynamic if key == tag]

    def string(self, index):
        start = self.sections[self.symbols[6]][4] + index
        return self.data[start : self.data.index(b"\0", start)].decode()

    def exports(self):
        """Symbols that are defined here and not local."""
        for at in range(self.symbols[4], self.symbols[4] + self.symbols[5], 24):
            name, info, _, section = self.unpack("IBBH", at)
            if section and info >> 4:
                yield self.string(name)


@pytest.fixture(params=MODULES, ids=lambda path: path.name.split(".")[0])
def module(request):
    return Elf(request.param)


def test_all_modules_are_looked_at():
    assert len(MODULES) > 7


def test_nothing_is_exported_but_the_function_python_calls(module, request):
    name = request.node.callspec.id
    assert list(module.exports()) == [f"PyInit_{name}"]


def test_no_library_is_needed_but_those_of_c_and_openmp(module):
    needed = [module.string(index) for index in module.tagged(NEEDED)]
    assert [name for name in needed if not name.startswith(LIBRARIES)] == []
    # Where interpreters and wheels bring libraries of their own; never where the process runs.
    for index in module.tagged(RPATH) + module.tagged(RUNPATH):
        for folder in module.string(index).split(":"):
            assert folder.startswith(("/", "$ORIGIN"))


def test_no_memory_is_both_written_and_run(module):
    (stack,) = (header for header in module.headers if header[0] == GNU_STACK)
    assert not stack[1] & EXECUTABLE
    both = EXECUTABLE | WRITEABLE
    assert not [h for h in module.headers if h[0] == LOAD and h[1] & both == both]


def test_tables_of_the_loader_are_read_only(module):
    assert [header for header in module.headers if header[0] == GNU_RELRO]
    now = [value & bit for tag, bit in NOW.items() for value in module.tagged(tag)]
    assert any(now) or module.tagged(BIND_NOW)


def test_overruns_of_the_stack_are_noticed(module):
    assert b"__stack_chk_fail" in module.data
