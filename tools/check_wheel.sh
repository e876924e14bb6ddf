#!/usr/bin/env bash
# Build the sdist and the wheel twice, compare, repair and check them, and run the tests on the
# repaired wheel where there is no compiler (Linux):
#
#   tools/check_wheel.sh FOLDER [arguments of pytest]
#
# The sdist and the repaired wheel are left in FOLDER, which must not exist. PYTHON chooses the
# interpreter.
set -euo pipefail
cd "$(dirname "$0")/.."

LARGEST=4000000 # bytes of a wheel

if [[ $# == 0 || -e $1 ]]; then
    sed -n '2,8s/^# \?//p' "$0" >&2
    exit 2
fi
mkdir -p "$1"
result=$(cd "$1" && pwd)
shift

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
"${PYTHON:-python3}" -m venv "$scratch/tools"
tools=$scratch/tools/bin
"$tools/pip" install --quiet --upgrade pip
"$tools/pip" install --quiet --group wheel

# In folders of different names, neither of which may be seen in what is built.
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
export SOURCE_DATE_EPOCH
mkdir "$scratch/one"
git ls-files -z | tar -c --null -T - | tar -x -C "$scratch/one"
cp -r "$scratch/one" "$scratch/another"
for copy in one another; do
    "$tools/python" -m build --outdir "$scratch/$copy/dist" "$scratch/$copy" >"$scratch/log" 2>&1 || {
        cat "$scratch/log"
        exit 1
    }
done
for file in "$scratch"/one/dist/*; do
    cmp "$file" "$scratch/another/dist/${file##*/}"
    echo "the same twice: $(cd "${file%/*}" && sha256sum "${file##*/}")"
done

set -x
PATH=$tools:$PATH auditwheel repair --wheel-dir "$result" "$scratch"/one/dist/*.whl
cp "$scratch"/one/dist/*.tar.gz "$result"
"$tools/twine" check --strict "$result"/*
"$tools/check-wheel-contents" "$scratch"/one/dist/*.whl # before it held what is not Python
size=$(stat --format=%s "$result"/*.whl)
((size <= LARGEST))

# Nothing on PATH but the environment. pip is there, as a user would have it.
"${PYTHON:-python3}" -m venv "$scratch/user"
"$scratch/user/bin/pip" install --quiet --only-binary :all: "$(echo "$result"/*.whl)[test]"
cd "$scratch/another" # pyproject.toml has the settings of pytest
env -u CC PATH="$scratch/user/bin" "$scratch/user/bin/python" -m pytest -p no:cacheprovider "$@"
