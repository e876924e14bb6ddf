"""Build one extension module for each engine, word and instruction-set level, from one source each.

The word comes to Cython as a generated ``_word.pxd``, the level to the compiler as flags. Cython
remembers the flags of an extension by the path of its source, so they are set on what
``cythonize`` returns, never given to it.
"""

import gzip
import os
import platform
import sys
import tarfile
import time
from fnmatch import fnmatch
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.sdist import sdist

SRC = Path("src/fastconv")
BUILD = Path("build/cython")

# level: flags for gcc and clang. src/fastconv/_cpu.h tests for each of them.
LEVELS = {
    "baseline": [],
    "v3": ["-mavx2", "-mfma"],
    "v4": ["-mavx2", "-mfma", "-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl"],
}

# engine: the words it is compiled for.
ENGINES = {
    "_direct": ("f32", "f64", "u8", "u16", "u32", "u64", "ld"),
    "_fft": ("f32", "f64"),
}

# word: as arrays store it, as the kernels compute with it. Signed and unsigned integers are the
# same modulo 2**n; vectors of bytes have no product, so bytes are computed in 16 bits.
WORDS = {
    "f32": ("float", "float"),
    "f64": ("double", "double"),
    "u8": ("unsigned char", "unsigned short"),
    "u16": ("unsigned short", "unsigned short"),
    "u32": ("unsigned int", "unsigned int"),
    "u64": ("unsigned long long", "unsigned long long"),
    "ld": ("long double", "long double"),
}
# Without vector types a product of two 16-bit words would be one of signed ints, and overflow.
SCALAR_REAL = {"u8": "unsigned int", "u16": "unsigned int"}

WORD_PXD = """\
cdef extern from *:
    \"\"\"
    typedef {elem} elem;
    #if defined(__GNUC__)
    typedef {real} real;
    #else
    typedef {scalar} real;
    #endif
    #define NAME "{name}"
    #define WORD_{name}
    {scalar_only}
    \"\"\"
    ctypedef {elem} elem
    ctypedef {real} real
    const char* NAME
"""

# What should go wrong in spite of all ends the process, and no memory is both written and run.
HARD_COMPILE = ["-fstack-protector-strong", "-U_FORTIFY_SOURCE", "-D_FORTIFY_SOURCE=2"]
HARD_LINK = ["-Wl,-z,relro,-z,now,-z,noexecstack"]

DIRECTIVES = {
    "language_level": 3,
    "binding": False,
    "boundscheck": False,
    "wraparound": False,
    "cdivision": True,
    "initializedcheck": False,
    "freethreading_compatible": True,
}

# Cross builds name what they build for in _PYTHON_HOST_PLATFORM, such as linux-s390x.
machine = os.environ.get("_PYTHON_HOST_PLATFORM", platform.machine()).rpartition("-")[2]
x86_64 = machine.lower() in {"x86_64", "amd64"}
msvc = sys.platform == "win32"
# MSVC has no vector types, so the kernels are scalar there and a level would change nothing.
levels = [name for name in LEVELS if name == "baseline" or (x86_64 and not msvc)]


def word_pxd(name: str) -> Path:
    """Write the definition of a word; leave it alone if it stands already."""
    elem, real = WORDS[name]
    text = WORD_PXD.format(
        name=name,
        elem=elem,
        real=real,
        scalar=SCALAR_REAL.get(name, real),
        scalar_only="#define FASTCONV_SCALAR" if name == "ld" else "",
    )
    path = BUILD / "words" / name / "_word.pxd"
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.read_text() != text:
        path.write_text(text)
    return path


def extension(module: str, source: str, build_dir: Path, **options: list[str]) -> Extension:
    """One extension module, translated to C in a folder of its own."""
    (result,) = cythonize(
        [Extension(f"fastconv.{module}", [str(SRC / source)], include_dirs=[str(SRC)])],
        build_dir=str(build_dir),
        compiler_directives=DIRECTIVES,
        quiet=True,
        **options,
    )
    return result


def wanted(module: str) -> bool:
    """Whether FASTCONV_MODULES, patterns with spaces between, names it: for a quick build."""
    patterns = os.environ.get("FASTCONV_MODULES", "*").split()
    return any(fnmatch(module, pattern) for pattern in patterns)


def extensions() -> list[Extension]:
    """All modules; the flags of a level are the only ones that differ."""
    result = []
    if wanted("_runtime"):
        runtime = extension("_runtime", "_runtime.pyx", BUILD / "runtime")
        runtime.define_macros = [("LEVELS", f'"{" ".join(levels)}"')]
        result.append(runtime)
    for engine, words in ENGINES.items():
        for word in words:
            include = word_pxd(word).parent
            for level in levels if word != "ld" else ["baseline"]:
                name = f"{engine}_{word}_{level}"
                if not wanted(name):
                    continue
                module = extension(
                    name,
                    f"{engine}.pyx",
                    BUILD / f"{word}_{level}",
                    include_path=[str(include), "src"],
                )
                module.extra_compile_args = list(LEVELS[level])
                if not msvc:
                    # The kernels are templates whose parameters are constant arguments.
                    module.define_macros = [
                        ("CYTHON_INLINE", "__inline__ __attribute__((always_inline))")
                    ]
                    module.libraries = ["m"]
                result.append(module)
    return result


OPENMP_PROBE = """\
#include <omp.h>
int main(void) { return omp_get_max_threads() < 1; }
"""

NO_OPENMP = """
fastconv needs a C compiler with OpenMP, and {compiler} could not build a program with it:

    {error}

Linux: install gcc, or libomp for clang (Debian: libomp-dev). macOS: `brew install libomp`.
To build without threads, set FASTCONV_OPENMP=0.
"""


class Build(build_ext):
    """Adds the flags that depend on the compiler."""

    def build_extensions(self) -> None:
        """Find OpenMP, or stop; then build."""
        if msvc:
            compile_args, link_args = ["/O2"], []
        else:
            # The accuracy promised does not need contraction, but without it there is no FMA.
            compile_args = ["-O3", "-ffp-contract=fast", "-fvisibility=hidden", "-g0"]
            # gcc 14 to 16 leave out some FMA all the same, in blocks of some widths alone, and the
            # bits of a sum would depend on which it falls in.
            compile_args += self.understood(["--param=avoid-fma-max-bits=0"])
            # Else a few bytes more or less, anywhere, make an inner loop slower by a quarter.
            compile_args += ["-falign-loops=32"] if x86_64 else []
            link_args = [] if sys.platform == "darwin" else ["-Wl,-s"]
            if sys.platform == "linux":
                compile_args += HARD_COMPILE
                link_args += HARD_LINK
        if os.environ.get("FASTCONV_OPENMP", "1") != "0":
            openmp = self.find_openmp()
            compile_args += openmp[0]
            link_args += openmp[1]
        # CFLAGS have the last word: of two -O, compilers take the last.
        last = os.environ.get("CFLAGS", "").split()
        for module in self.extensions:
            module.extra_compile_args = compile_args + module.extra_compile_args + last
            module.extra_link_args = link_args
        if not self.parallel:
            self.parallel = os.cpu_count()
        super().build_extensions()

    def find_openmp(self) -> tuple[list[str], list[str]]:
        """Return flags with which a program that calls OpenMP compiles and links."""
        if msvc:
            return ["/openmp"], []
        candidates = [(["-fopenmp"], ["-fopenmp"])]
        if sys.platform == "darwin":
            for prefix in ("/opt/homebrew/opt/libomp", "/usr/local/opt/libomp"):
                if Path(prefix).exists():
                    flags = ["-Xpreprocessor", "-fopenmp", f"-I{prefix}/include"]
                    candidates.append((flags, [f"-L{prefix}/lib", "-lomp"]))
        error: Exception | None = None
        for compile_args, link_args in candidates:
            try:
                self.compiler.link_executable(
                    self.compiled(OPENMP_PROBE, compile_args),
                    "program",
                    output_dir=str(Path(self.build_temp) / "probe"),
                    extra_postargs=link_args,
                )
            except Exception as reason:  # each compiler class raises its own
                error = reason
            else:
                return compile_args, link_args
        compiler = " ".join(getattr(self.compiler, "compiler", ["the compiler"]))
        raise SystemExit(NO_OPENMP.format(compiler=compiler, error=error))

    def understood(self, flags: list[str]) -> list[str]:
        """Return the flags if the compiler has no complaint about them, or none."""
        try:
            self.compiled("int main(void) { return 0; }\n", ["-Werror", *flags])
        except Exception:
            return []
        return flags

    def compiled(self, source: str, flags: list[str]) -> list[str]:
        """Compile a program and return its objects."""
        folder = Path(self.build_temp) / "probe"
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / "probe.c"
        probe.write_text(source)
        objects: list[str] = self.compiler.compile(
            [str(probe)], output_dir=str(folder), extra_postargs=flags
        )
        return objects


class Source(sdist):
    """Makes archives that are the same to the byte wherever SOURCE_DATE_EPOCH is the same."""

    def make_archive(self, base_name: str, format: str, **options: str | None) -> str:  # noqa: A002
        """Leave out who packed it and when."""
        date = int(os.environ.get("SOURCE_DATE_EPOCH", time.time()))

        def anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
            member.mtime = date
            member.mode = 0o755 if member.mode & 0o100 else 0o644
            member.uid = member.gid = 0
            member.uname = member.gname = ""
            return member

        self.mkpath(self.dist_dir)
        path = f"{base_name}.tar.gz"
        with (
            gzip.GzipFile(path, "wb", mtime=date) as file,
            tarfile.open(fileobj=file, mode="w") as archive,
        ):
            archive.add(options["base_dir"], filter=anonymous)
        return path


setup(ext_modules=extensions(), cmdclass={"build_ext": Build, "sdist": Source})
