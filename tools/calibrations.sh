#!/usr/bin/env bash
# Writes hardware-profiles/calibrations/ anew from a folder of measured tables: tools/calibrations.sh DATA [COSIM]
set -euo pipefail
cd "$(dirname "$0")/.."
data=$1
cosim=${2:-"cargo run --release --locked --quiet --"}
out=hardware-profiles/calibrations
tables="$data/elementwise.csv $data/gemm.csv $data/attention_prefill.csv $data/attention_decode.csv $data/collectives.csv $data/moe.csv"
requests=$data/e2e_trtllm_static.csv
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# name in the tables of kernels, profile, stack, name in the table of requests
devices="a100_sxm a100-sxm-80gb trtllm A100 SXM 80GB
h100_sxm h100-sxm trtllm H100 SXM 80GB
gb200 gb200 trtllm
rtx_pro_6000_server rtx-pro-6000-server trtllm
vidur_a40 a40 sarathi
lss_rtx4090 rtx4090 vllm"

names=() files=()
while read -r name hardware stack served; do
  file="$out/$hardware.$stack.yaml"
  echo "== $hardware under $stack"
  more=()
  [ -z "$served" ] || more=("$requests" --device "$served")
  $cosim calibrate $tables "${more[@]}" --device "$name" --hardware "$hardware" --stack "$stack" --cuts 10 -o "$file"
  names+=(--device "$name")
  files+=(--calibration "$file")
done <<<"$devices"

echo "== every device left out in turn"
$cosim calibrate $tables "${names[@]}" "${files[@]}" --leave-one-out -o "$out/left-out.yaml"

# TensorRT-LLM before 0.7 has a CTA for every query head of a decode step, which reads its keys for itself.
for hardware in a100-sxm-80gb h100-sxm; do
  echo "== $hardware under trtllm-0.6"
  $cosim calibrate "$requests" "${files[@]}" --hardware "$hardware" --stack trtllm-0.6 --like trtllm --apart \
    -o "$out/$hardware.trtllm-0.6.yaml"
done

# llama.cpp on Apple is fitted to two formats; rows of the third are left to be scored.
grep -v ',Q4_0,' "$data/e2e_llamacpp_apple.csv" >"$work/e2e_llamacpp_apple.csv"
for chips in m1,m1-pro,m1-max,m1-ultra m2,m2-pro,m2-max,m2-ultra; do
  echo "== $chips under llamacpp"
  $cosim calibrate "$work/e2e_llamacpp_apple.csv" --hardware "$chips" --stack llamacpp -o "$out"
done
