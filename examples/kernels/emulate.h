// What attention.cu needs of CUDA, on a CPU: a thread for each thread of a block, one block after the other. Shared
// memory is static, which is why no two blocks run at once; __syncthreads is a barrier, also between blocks.
#pragma once
#include <algorithm>
#include <barrier>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <thread>
#include <vector>

#define __global__
#define __shared__ static
#define LAUNCH(kernel, grid, block, ...) \
    emulate::launch(grid, block, [=] { kernel(__VA_ARGS__); })

struct dim3 {
    unsigned x, y, z;
    dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};

static thread_local dim3 threadIdx, blockIdx;

namespace emulate {
static std::barrier<> *waiting;

template <class Kernel> void launch(dim3 grid, dim3 block, Kernel kernel) {
    std::barrier<> barrier(block.x);
    waiting = &barrier;
    auto thread = [=](unsigned x) {
        threadIdx = dim3(x, 0, 0);
        for (unsigned n = 0; n < grid.x * grid.y * grid.z; n++) {
            blockIdx = dim3(n % grid.x, n / grid.x % grid.y, n / grid.x / grid.y);
            kernel();
            waiting->arrive_and_wait();
        }
    };
    std::vector<std::thread> threads;
    for (unsigned x = 0; x < block.x; x++) threads.emplace_back(thread, x);
    for (auto &each : threads) each.join();
}
}  // namespace emulate

static inline void __syncthreads() { emulate::waiting->arrive_and_wait(); }

using std::min;

struct __nv_bfloat16 {
    uint16_t bits;
};

static inline float __bfloat162float(__nv_bfloat16 x) {
    uint32_t bits = (uint32_t)x.bits << 16;
    float y;
    memcpy(&y, &bits, sizeof y);
    return y;
}

// To nearest, ties to even.
static inline __nv_bfloat16 __float2bfloat16(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    if (x != x) return {0x7fff};
    return {(uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16)};
}

enum cudaError_t { cudaSuccess, cudaErrorMemoryAllocation };

static inline cudaError_t cudaMallocManaged(void **at, size_t bytes) {
    *at = malloc(bytes);
    return *at ? cudaSuccess : cudaErrorMemoryAllocation;
}

static inline cudaError_t cudaGetLastError() { return cudaSuccess; }
static inline cudaError_t cudaDeviceSynchronize() { return cudaSuccess; }
static inline const char *cudaGetErrorString(cudaError_t) { return "out of memory"; }
