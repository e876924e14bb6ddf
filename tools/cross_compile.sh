#!/usr/bin/env bash
# Compile all generated C, at level baseline, for systems other than this one:
#
#   tools/cross_compile.sh [TARGET ...]
#
# Needs `pip install ziglang`: its clang brings the C library's headers of each target. gcc lends
# its omp.h. Nothing is linked or run.
set -euo pipefail
cd "$(dirname "$0")/.."

if [[ $# == 0 ]]; then
    set -- aarch64-macos x86_64-macos x86_64-windows-gnu aarch64-windows-gnu aarch64-linux-gnu \
        x86_64-linux-musl
fi
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# Headers of this Python, with the sizes that Windows has: only there a long has 32 bits.
cp -r "$(python -c 'import sysconfig; print(sysconfig.get_path("include"))')" "$scratch/python"
cp "$(gcc -print-file-name=include/omp.h)" "$scratch/python"
cat >>"$scratch/python/pyconfig.h" <<'END'
#ifdef _WIN32
#undef SIZEOF_LONG
#define SIZEOF_LONG 4
#undef SIZEOF_WCHAR_T
#define SIZEOF_WCHAR_T 2
#define MS_WINDOWS 1
#define MS_WIN64 1
#undef HAVE_SYS_SELECT_H
#endif
END

FASTCONV_MODULES="_runtime *_baseline" python setup.py --quiet --version
for target; do
    for source in build/cython/runtime/src/fastconv/*.c build/cython/*_baseline/src/fastconv/*.c; do
        python -m ziglang cc -target "$target" -c -o "$scratch/object" \
            -O1 -fopenmp -ffp-contract=fast -fvisibility=hidden -w -Werror=implicit \
            -D'CYTHON_INLINE=__inline__ __attribute__((always_inline))' \
            -D'LEVELS="baseline"' -Isrc/fastconv -I"$scratch/python" "$source"
        echo "$target: $source"
    done
done
