#!/usr/bin/env bash
# Run the tests on a processor that QEMU emulates:
#
#   tools/emulate.sh aarch64|s390x|nehalem [arguments of pytest]
#
# CONTRIBUTING.md, "Other processors", tells what it needs.
set -euo pipefail
cd "$(dirname "$0")/.."

processor=${1-}
if [[ ! $processor =~ ^(aarch64|s390x|nehalem)$ ]]; then
    sed -n '2,4s/^# \?//p' "$0" >&2
    exit 2
fi
shift
build=$PWD/build/$processor
pytest=(-m pytest -p no:cacheprovider)
export FASTCONV_PATIENCE=20

# This machine's Python, on a processor without AVX. Tests start sys.executable; here it is a
# script, as the kernel would run the interpreter itself without the emulator.
if [[ $processor == nehalem ]]; then
    python -m venv --clear --without-pip "$build"
    interpreter=$(readlink -f "$build/bin/python")
    rm "$build"/bin/python*
    cat >"$build/bin/python" <<END
#!/bin/sh
exec qemu-x86_64-static -cpu Nehalem -0 "$build/bin/python" "$interpreter" "\$@"
END
    chmod +x "$build/bin/python"
    PYTHONPATH=$(python -c 'import sys; print(":".join(filter(None, sys.path)))')
    export PYTHONPATH
    # OpenBLAS, as wheels of NumPy have it, would take functions with AVX for it.
    export OPENBLAS_CORETYPE=Nehalem
    exec "$build/bin/python" "${pytest[@]}" "$@"
fi

if ! grep -q enabled "/proc/sys/fs/binfmt_misc/qemu-$processor"; then
    echo "the kernel has no emulator for programs of $processor" >&2
    exit 1
fi

# One that does not sign return addresses, as Debian's functions do: emulated, that takes longer than
# all they do.
if [[ $processor == aarch64 ]]; then
    export QEMU_CPU=cortex-a72
fi

# Debian's Python, NumPy and SciPy for the processor. forky is the first to have scipy 1.17. They
# are unpacked and no more, as what packages do when they are installed would be emulated. A mirror
# may be a snapshot whose date has passed.
root=${FASTCONV_ROOT:-${XDG_CACHE_HOME:-$HOME/.cache}/fastconv-emulate/$processor}
if [[ ! -e $root ]]; then
    packages=python3-scipy,python3-matplotlib,python3-pytest,python3-hypothesis,python3-threadpoolctl
    rm -rf "$root.new"
    mmdebstrap --variant=extract --architectures="${processor/aarch64/arm64}" \
        --include="$packages,libpython3-dev,libgomp1" \
        --aptopt='Acquire::Check-Valid-Until "false"' \
        forky "$root.new" "deb http://deb.debian.org/debian forky main"
    mv "$root.new" "$root"
fi

# This machine's Python builds, with a cross compiler and the settings of the other Python. Headers
# of the other's must not hide those of the compiler's C library.
triple=$processor-linux-gnu
version=$(readlink "$root/usr/bin/python3")
mkdir -p "$build"
cp "$root/usr/lib/$version/_sysconfigdata__linux_$triple.py" "$build/_sysconfigdata.py"
PYTHONPATH=$build${PYTHONPATH:+:$PYTHONPATH} \
    _PYTHON_SYSCONFIGDATA_NAME=_sysconfigdata \
    _PYTHON_HOST_PLATFORM=linux-$processor \
    CC="$triple-gcc -I$root/usr/include/$version -idirafter $root/usr/include" \
    LDSHARED="$triple-gcc -shared" \
    python setup.py --quiet build --build-base "$build" --build-lib "$build/lib"

# Installing would have chosen a BLAS and a LAPACK, and compiled Python's files, which takes minutes
# here: they are kept, as they are used.
libraries=/usr/lib/$triple
exec bwrap --bind "$root/usr" /usr --ro-bind "$root/etc" /etc --symlink usr/bin /bin --symlink usr/lib /lib \
    --dev /dev --proc /proc --ro-bind /sys /sys --tmpfs /tmp --bind "$PWD" "$PWD" \
    --setenv LD_LIBRARY_PATH "$libraries/blas:$libraries/lapack" \
    --setenv PYTHONPATH "$build/lib" --setenv PATH /usr/bin --setenv LANG C.UTF-8 \
    --unsetenv PYTHONDONTWRITEBYTECODE \
    python3 "${pytest[@]}" "$@"
