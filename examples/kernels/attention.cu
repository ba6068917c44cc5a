// Flash attention over a case of `cosim golden attention --dtype bf16`, summed in f32: 16 queries of a head in a
// block of threads, tiles of 32 keys in shared memory, online softmax, heads of at most 128.
//
//     nvcc -O2 -o attention attention.cu                       the right kernel
//     nvcc -O2 -DBUG -o wrong attention.cu                     the causal mask is top-left aligned
//     c++ -std=c++20 -O2 -pthread -DEMULATE -x c++ -o attention attention.cu     on a CPU, see emulate.h
//     ./attention CASE OUT.bin                                 OUT.bin in bf16
#ifdef EMULATE
#include "emulate.h"
#else
#include <cuda_bf16.h>
#define LAUNCH(kernel, grid, block, ...) kernel<<<grid, block>>>(__VA_ARGS__)
#endif
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>

constexpr int ROWS = 16, LANES = 8, TILE = 32, MOST = 128;

struct Shape {
    int batch, tokens, positions, heads, kv_heads, dim;
};

// A row of queries is worked on by LANES threads: each has every LANES-th key of a tile, and every LANES-th
// element of the sums.
__global__ void attention(const __nv_bfloat16 *q, const __nv_bfloat16 *k, const __nv_bfloat16 *v,
                          __nv_bfloat16 *out, Shape s, float scale) {
    __shared__ float queries[ROWS][MOST + 1], keys[TILE][MOST + 1], values[TILE][MOST + 1];
    __shared__ float scores[ROWS][TILE + 1];
    const int row = threadIdx.x / LANES, lane = threadIdx.x % LANES;
    const int b = blockIdx.z, h = blockIdx.y, kv = h / (s.heads / s.kv_heads);
    const int first_row = blockIdx.x * ROWS, t = first_row + row;
    for (int i = threadIdx.x; i < ROWS * s.dim; i += ROWS * LANES) {
        int r = i / s.dim, d = i % s.dim, at = first_row + r;
        queries[r][d] = at < s.tokens
            ? __bfloat162float(q[((b * s.tokens + at) * s.heads + h) * (size_t)s.dim + d])
            : 0.0f;
    }
    float top = -INFINITY, total = 0, sums[MOST / LANES] = {0};
    const int past = s.positions - s.tokens;
    const int end = min(s.positions, past + first_row + ROWS);
    for (int start = 0; start < end; start += TILE) {
        __syncthreads();
        for (int i = threadIdx.x; i < TILE * s.dim; i += ROWS * LANES) {
            int j = i / s.dim, d = i % s.dim, key = start + j;
            size_t at = ((size_t)(b * s.positions + key) * s.kv_heads + kv) * s.dim + d;
            keys[j][d] = key < s.positions ? __bfloat162float(k[at]) : 0.0f;
            values[j][d] = key < s.positions ? __bfloat162float(v[at]) : 0.0f;
        }
        __syncthreads();
        for (int j = lane; j < TILE; j += LANES) {
            float dot = 0;
            for (int d = 0; d < s.dim; d++) dot += queries[row][d] * keys[j][d];
#ifdef BUG
            bool seen = start + j <= t;
#else
            bool seen = start + j <= past + t && start + j < s.positions;
#endif
            scores[row][j] = seen ? dot * scale : -INFINITY;
        }
        __syncthreads();
        float grown = top;
        for (int j = 0; j < TILE; j++) grown = fmaxf(grown, scores[row][j]);
        if (grown == -INFINITY) continue;
        float factor = expf(top - grown);
        total *= factor;
        for (int n = 0; n < s.dim / LANES; n++) sums[n] *= factor;
        for (int j = 0; j < TILE; j++) {
            float p = expf(scores[row][j] - grown);
            total += p;
            for (int n = 0; n < s.dim / LANES; n++) sums[n] += p * values[j][n * LANES + lane];
        }
        top = grown;
    }
    if (t < s.tokens)
        for (int n = 0; n < s.dim / LANES; n++)
            out[((b * s.tokens + t) * s.heads + h) * (size_t)s.dim + n * LANES + lane] =
                __float2bfloat16(sums[n] / total);
}

static void fail(const char *what, const char *why) {
    fprintf(stderr, "attention: %s: %s\n", what, why);
    exit(1);
}

static void check(cudaError_t error) {
    if (error != cudaSuccess) fail("CUDA", cudaGetErrorString(error));
}

static __nv_bfloat16 *memory(size_t elements) {
    void *at;
    check(cudaMallocManaged(&at, elements * sizeof(__nv_bfloat16)));
    return (__nv_bfloat16 *)at;
}

// The elements of a .npy file of version 1 with four extents, which its header has as text behind byte 10.
static __nv_bfloat16 *load(const char *folder, const char *name, int n[4]) {
    char path[4096], header[65536];
    unsigned char head[10];
    snprintf(path, sizeof path, "%s/%s.npy", folder, name);
    FILE *file = fopen(path, "rb");
    if (!file || fread(head, 1, 10, file) != 10) fail(path, "cannot read it");
    size_t length = head[8] + 256 * head[9];
    if (fread(header, 1, length, file) != length) fail(path, "it ends in its header");
    header[length] = 0;
    const char *shape = strchr(header, '(');
    if (!shape || sscanf(shape, "(%d, %d, %d, %d)", n, n + 1, n + 2, n + 3) != 4)
        fail(path, "it has not four extents");
    size_t elements = (size_t)n[0] * n[1] * n[2] * n[3];
    __nv_bfloat16 *values = memory(elements);
    if (fread(values, sizeof *values, elements, file) != elements || fgetc(file) != EOF)
        fail(path, "its elements are not bf16");
    fclose(file);
    return values;
}

int main(int argc, char **argv) {
    if (argc != 3) return fprintf(stderr, "usage: attention CASE OUT.bin\n"), 2;
    int of_q[4], of_k[4], of_v[4];
    __nv_bfloat16 *q = load(argv[1], "q", of_q), *k = load(argv[1], "k", of_k);
    __nv_bfloat16 *v = load(argv[1], "v", of_v);
    Shape s = {of_q[0], of_q[1], of_k[1], of_q[2], of_k[2], of_q[3]};
    if (s.dim > MOST || s.dim % LANES) fail("head_dim", "not a multiple of 8 up to 128");
    size_t elements = (size_t)s.batch * s.tokens * s.heads * s.dim;
    __nv_bfloat16 *out = memory(elements);
    dim3 grid((s.tokens + ROWS - 1) / ROWS, s.heads, s.batch), block(ROWS * LANES);
    LAUNCH(attention, grid, block, q, k, v, out, s, 1 / sqrtf(s.dim));
    check(cudaGetLastError());
    check(cudaDeviceSynchronize());
    FILE *file = fopen(argv[2], "wb");
    if (!file || fwrite(out, sizeof *out, elements, file) != elements || fclose(file))
        fail(argv[2], "cannot write it");
    return 0;
}
