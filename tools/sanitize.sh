#!/usr/bin/env bash
# Build fastconv for a tool that sees what tests do not, in a scratch copy, and run tests there.
#
#   tools/sanitize.sh address|undefined|thread|valgrind|coverage [command]
#
# The command, such as `python -m pytest tests/test_stack.py`, runs in the copy; without one, the
# tests run that the tool is for. python is that of CONTRIBUTING.md's section "Build". The copy
# stays in the folder SCRATCH for the next run, if that is set.
set -euo pipefail
cd "$(dirname "$0")/.."
tool=${1:?address, undefined, thread, valgrind or coverage}
shift
if [[ -z "${SCRATCH:-}" ]]; then
    SCRATCH=$(mktemp -d)
    trap 'rm -rf "$SCRATCH"' EXIT
fi
mkdir -p "$SCRATCH/copy"
git ls-files -z | tar --null -T - -c | tar -x -C "$SCRATCH/copy"
cd "$SCRATCH/copy"
export PYTHONPATH="$SCRATCH/copy/src:$SCRATCH/copy/tests"

# The flags come after setup.py's own. With -O1 the build takes half the time.
build() { # compiler flags...
    # shellcheck disable=SC2016 # it is for the script that is written
    printf '#!/usr/bin/env bash\nexec %s "${@//-Wl,-s/-g1}" -O1 -g1 -fno-omit-frame-pointer %s\n' \
        "$1" "${*:2}" >"$SCRATCH/cc"
    chmod +x "$SCRATCH/cc"
    CC="$SCRATCH/cc" python setup.py build_ext --inplace >"$SCRATCH/build.log" 2>&1 ||
        { tail -n 40 "$SCRATCH/build.log" >&2 && exit 1; }
}

# All tests but those that look at the memory, the symbols or the stacks of what was built as usual.
export FASTCONV_PATIENCE=10
suite=(
    python -m pytest -p no:cacheprovider --ignore tests/test_levels.py --ignore tests/test_memory.py
    --ignore tests/test_wheel.py --deselect tests/test_faults.py::test_calls_without_end_leave_nothing_behind
    --deselect tests/test_faults.py::test_memory_of_kernels_and_tiles_is_given_back
    --deselect tests/test_processors.py::test_threads_whose_stacks_there_is_no_room_for_are_done_without
)

case $tool in
address)
    build gcc -fsanitize=address
    # What Python keeps to its end is no leak. Exceptions of C++ need their library first.
    libraries="$(gcc -print-file-name=libasan.so) $(gcc -print-file-name=libstdc++.so)"
    (($#)) || set -- "${suite[@]}"
    # Absurd sizes are refused as elsewhere. What pytest captures would be lost with the process.
    options=detect_leaks=0:allocator_may_return_null=1:log_path=$SCRATCH/report
    rm -f "$SCRATCH"/report.*
    env LD_PRELOAD="$libraries" ASAN_OPTIONS="$options" PYTHONMALLOC=malloc "$@" || status=$?
    # A report of a process that was not waited for counts, too.
    grep -A 30 "ERROR: AddressSanitizer" "$SCRATCH"/report.* 2>/dev/null && status=1
    exit "${status:-0}"
    ;;
undefined)
    # Python's own flags, -fwrapv among them, would define the overflow of signed integers.
    build gcc -fsanitize=undefined,float-cast-overflow -fno-sanitize-recover=all -fno-wrapv
    (($#)) || set -- "${suite[@]}"
    rm -f "$SCRATCH"/report.*
    env UBSAN_OPTIONS="print_stacktrace=1:log_path=$SCRATCH/report" "$@" || status=$?
    cat "$SCRATCH"/report.* 2>/dev/null && status=1
    exit "${status:-0}"
    ;;
thread)
    # GCC's OpenMP would be full of races, for its barriers are not seen. LLVM's tells Archer.
    build clang -fsanitize=thread
    # The sanitizer belongs to the program, so that is made: python, linked anew.
    main='int Py_BytesMain(int, char **); int main(int n, char **v) { return Py_BytesMain(n, v); }'
    read -r libdir library site < <(python -c 'import sysconfig as s
v = s.get_config_vars()
print(v["LIBDIR"], v["LDVERSION"], s.get_path("purelib"))')
    mkdir -p "$SCRATCH/bin"
    clang -fsanitize=thread -rdynamic -x c - <<<"$main" -o "$SCRATCH/bin/python" \
        -L"$libdir" "-Wl,-rpath,$libdir" "-lpython$library"
    archer=$(dirname "$(readlink -f "$(command -v clang)")")/../lib/libarcher.so
    export PATH="$SCRATCH/bin:$PATH" PYTHONPATH="$PYTHONPATH:$site" PYTHONMALLOC=malloc
    export OMP_TOOL_LIBRARIES="$archer"
    # Tests fork a process that has threads, and then use more.
    export TSAN_OPTIONS="exitcode=66 die_after_fork=0 suppressions=$PWD/tools/tsan.supp"
    # -R: older sanitizers know one layout of memory only.
    if (($#)); then
        setarch -R "$@"
    else
        setarch -R python tests/fuzz.py --threads 32 --calls 5000 --seconds 3600
        setarch -R python -m pytest tests/test_threads.py
    fi
    ;;
valgrind)
    build gcc
    (($#)) || set -- python tests/fuzz.py --calls 2000 --seconds 7200
    rm -f "$SCRATCH"/valgrind.*
    env PYTHONMALLOC=malloc valgrind --trace-children=yes --error-limit=no \
        --log-file="$SCRATCH/valgrind.%p" "$@"
    # Python and the dynamic linker have findings of their own. A function of ours is __pyx_...
    if grep -B 8 -A 8 __pyx_ "$SCRATCH"/valgrind.*; then
        exit 1
    fi
    ;;
coverage)
    build clang -fsanitize=fuzzer-no-link
    libraries="$(python -c 'import atheris; print(atheris.path())')/asan_with_fuzzer.so"
    libraries+=" $(gcc -print-file-name=libstdc++.so)"
    (($#)) || set -- python tests/fuzz_atheris.py -max_total_time=600 -max_len=256 -len_control=0
    env LD_PRELOAD="$libraries" ASAN_OPTIONS=detect_leaks=0 "$@"
    ;;
*)
    echo "unknown tool: $tool" >&2
    exit 2
    ;;
esac
