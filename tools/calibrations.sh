#!/usr/bin/env bash
# Writes hardware-profiles/calibrations/ anew from a folder of measured tables: tools/calibrations.sh DATA [COSIM]
set -euo pipefail
cd "$(dirname "$0")/.."
data=$1
cosim=${2:-"cargo run --release --locked --quiet --"}
out=hardware-profiles/calibrations
tables="$data/elementwise.csv $data/gemm.csv $data/attention_prefill.csv $data/attention_decode.csv $data/collectives.csv"

# name in the tables, profile, stack
devices="a100_sxm a100-sxm-80gb trtllm
h100_sxm h100-sxm trtllm
gb200 gb200 trtllm
rtx_pro_6000_server rtx-pro-6000-server trtllm
vidur_a40 a40 sarathi
lss_rtx4090 rtx4090 vllm"

names=() files=()
while read -r name hardware stack; do
  file="$out/$hardware.$stack.yaml"
  echo "== $hardware under $stack"
  $cosim calibrate $tables --device "$name" --hardware "$hardware" --stack "$stack" -o "$file"
  names+=(--device "$name")
  files+=(--calibration "$file")
done <<<"$devices"

echo "== every device left out in turn"
$cosim calibrate $tables "${names[@]}" "${files[@]}" --leave-one-out -o "$out/left-out.yaml"
