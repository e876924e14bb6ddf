#!/usr/bin/env bash
# Run the tests on a processor that QEMU emulates:
#
#   tools/emulate.sh aarch64|s390x|nehalem [arguments of pytest]
#
# CONTRIBUTING.md, "Other processors", tells what must be installed.
set -euo pipefail
cd "$(dirname "$0")/.."

usage() {
    sed -n '2,4s/^# \?//p' "$0" >&2
    exit 2
}

processor=${1-}
[[ $processor ]] || usage
shift
build=$PWD/build/$processor
pytest=(-m pytest -p no:cacheprovider)

# Debian for another processor. Testing, since it is the first to have scipy 1.17.
foreign() {
    local architecture=$1
    shift
    local root=${FASTCONV_ROOT:-${XDG_CACHE_HOME:-$HOME/.cache}/fastconv-emulate/$processor}
    local packages=python3-scipy,python3-matplotlib,python3-pytest,python3-hypothesis
    if [[ ! -e $root/complete ]]; then
        # Unpacked and no more, as what packages do when they are installed would be emulated.
        # A mirror may be a snapshot whose date has passed.
        mmdebstrap --variant=extract --architectures="$architecture" \
            --include="$packages,libpython3-dev,libgomp1" \
            --aptopt='Acquire::Check-Valid-Until "false"' \
            forky "$root" "deb http://deb.debian.org/debian forky main"
        touch "$root/complete"
    fi

    # A compiler of this machine's, as one for that processor would be emulated; its Python's
    # settings, and headers which must not hide those of the compiler's own C library.
    local settings version
    settings=$(echo "$root"/usr/lib/python3.*/_sysconfigdata__linux_*.py)
    version=$(basename "$(dirname "$settings")")
    mkdir -p "$build"
    cp "$settings" "$build"
    env PYTHONPATH="$build" \
        _PYTHON_SYSCONFIGDATA_NAME="$(basename "$settings" .py)" \
        _PYTHON_HOST_PLATFORM="linux-$processor" \
        CC="$processor-linux-gnu-gcc -I$root/usr/include/$version -idirafter $root/usr/include" \
        LDSHARED="$processor-linux-gnu-gcc -shared" \
        python setup.py build --build-base "$build" --build-lib "$build/lib"

    bwrap --bind "$root/usr" /usr --symlink usr/bin /bin --symlink usr/lib /lib \
        --dev /dev --proc /proc --tmpfs /tmp --bind "$PWD" "$PWD" \
        --setenv LD_LIBRARY_PATH "/usr/lib/$processor-linux-gnu/blas:/usr/lib/$processor-linux-gnu/lapack" \
        --setenv PYTHONPATH "$build/lib" \
        python3 "${pytest[@]}" "$@"
}

# This machine's Python, as a processor without AVX would run it.
old() {
    # Tests start sys.executable, and without this that would not be emulated.
    python -m venv --clear --without-pip "$build"
    local real path
    real=$(readlink -f "$build/bin/python")
    path=$(python -c 'import sys; print(":".join(filter(None, sys.path)))')
    rm "$build"/bin/python*
    cat >"$build/bin/python" <<END
#!/bin/sh
exec qemu-x86_64-static -cpu Nehalem -0 "$build/bin/python" "$real" "\$@"
END
    chmod +x "$build/bin/python"
    PYTHONPATH=$path "$build/bin/python" "${pytest[@]}" "$@"
}

case $processor in
    aarch64) foreign arm64 "$@" ;;
    s390x) foreign s390x "$@" ;;
    nehalem) old "$@" ;;
    *) usage ;;
esac
