#!/usr/bin/env bash
# The Triton kernel and its wrong twin over a case, judged: on a GPU, or with TRITON_INTERPRET=1 without one.
# Needs python3 with numpy, torch and triton, and `cosim` on the PATH.
#
#     bash gpu.sh [FOLDER]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
work=${1:-$(mktemp -d)}
if [ -z "${TRITON_INTERPRET:-}" ] && ! python3 -c 'import torch, sys; sys.exit(not torch.cuda.is_available())'; then
    echo "gpu.sh: no GPU that torch can use; set TRITON_INTERPRET=1 for Triton's interpreter" >&2
    exit 2
fi
cosim golden attention --out "$work/bf16"
python3 "$here/attention.triton.py" "$work/bf16" "$work/right.npy"
cosim validate "$work/bf16" --got "$work/right.npy" --report "$work/right"
python3 "$here/attention.triton.py" "$work/bf16" "$work/wrong.npy" --bug
if cosim validate "$work/bf16" --got "$work/wrong.npy" --report "$work/wrong"; then
    echo "gpu.sh: the wrong twin passed" >&2
    exit 1
fi
