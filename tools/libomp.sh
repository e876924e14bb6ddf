#!/usr/bin/env bash
# Put an OpenMP runtime for macOS 11 and later where setup.py looks for Homebrew's. That one is for
# the macOS it is installed on and later ones, and so would be the wheels that it goes into.
set -euo pipefail

if [[ $(uname -m) == arm64 ]]; then
    prefix=/opt/homebrew/opt/libomp
    package=osx-arm64/llvm-openmp-11.1.0-hf3c4609_1.tar.bz2
    sum=29763e493e46801c416f2e75f20e9183719bde3b727d8983b1917a480b4076fe
else
    prefix=/usr/local/opt/libomp
    package=osx-64/llvm-openmp-11.1.0-hda6cdc1_1.tar.bz2
    sum=1ebfeee2af90bcedf6b39c7290244e2aec0bda01ecf81b0d8d78ed405480c21c
fi
archive=$(mktemp)
curl --fail --silent --show-error --location --output "$archive" \
    "https://anaconda.org/conda-forge/llvm-openmp/11.1.0/download/$package"
echo "$sum  $archive" | shasum -a 256 --check

rm -rf "$prefix"
mkdir -p "$prefix"
tar -xjf "$archive" -C "$prefix"
# It calls itself @rpath/libomp.dylib, which what is linked to it would look for in vain.
install_name_tool -id "$prefix/lib/libomp.dylib" "$prefix/lib/libomp.dylib"
codesign --force --sign - "$prefix/lib/libomp.dylib"
