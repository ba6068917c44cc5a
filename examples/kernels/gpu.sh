#!/usr/bin/env bash
# The Triton and the CUDA kernel and their wrong twins over a case, judged. Each runs on a GPU where its tools are at
# hand, or without one: TRITON_INTERPRET=1 takes Triton's interpreter, CUDA_EMULATE=1 a C++ compiler and emulate.h.
# Needs `cosim` on the PATH; for Triton python3 with numpy, torch and triton; for CUDA nvcc.
#
#     bash gpu.sh [FOLDER]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
work=${1:-$(mktemp -d)}
ran=0

missing() { echo "gpu.sh: $*" >&2; }

# judged NAME.KIND [ARGUMENTS]: what NAME-right.KIND and NAME-wrong.KIND hold is right and wrong.
judged() {
    local name=${1%.*} kind=${1##*.}
    shift
    cosim validate "$work/bf16" --got "$work/$name-right.$kind" "$@" --report "$work/$name-right"
    if cosim validate "$work/bf16" --got "$work/$name-wrong.$kind" "$@" --report "$work/$name-wrong"; then
        missing "the wrong twin of $name passed"
        exit 1
    fi
    ran=1
}

cosim golden attention --out "$work/bf16"

if [ -n "${TRITON_INTERPRET:-}" ] || python3 -c 'import torch, sys; sys.exit(not torch.cuda.is_available())' 2>&-; then
    echo "== Triton"
    python3 "$here/attention.triton.py" "$work/bf16" "$work/triton-right.npy"
    python3 "$here/attention.triton.py" "$work/bf16" "$work/triton-wrong.npy" --bug
    judged triton.npy
else
    missing "no Triton: no GPU that torch can use; TRITON_INTERPRET=1 takes Triton's interpreter"
fi

compile=()
if [ -n "${CUDA_EMULATE:-}" ] && command -v "${CXX:-c++}" > /dev/null; then
    compile=("${CXX:-c++}" -std=c++20 -O2 -pthread -DEMULATE -x c++)
elif [ -n "${CUDA_EMULATE:-}" ]; then
    missing "no CUDA: no C++ compiler ${CXX:-c++}"
elif command -v nvcc > /dev/null && nvidia-smi > /dev/null 2>&1; then
    compile=(nvcc -O2 -arch=native)
else
    missing "no CUDA: nvcc and a GPU are needed; CUDA_EMULATE=1 takes a C++ compiler"
fi
if [ ${#compile[@]} -gt 0 ]; then
    echo "== CUDA"
    "${compile[@]}" -o "$work/right" "$here/attention.cu"
    "${compile[@]}" -DBUG -o "$work/wrong" "$here/attention.cu"
    "$work/right" "$work/bf16" "$work/cuda-right.bin"
    "$work/wrong" "$work/bf16" "$work/cuda-wrong.bin"
    judged cuda.bin --dtype bf16
fi

if [ $ran = 0 ]; then
    missing "neither kernel could run"
    exit 2
fi
