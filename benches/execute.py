"""Matrix products by NumPy, beside `cargo bench --bench execute`."""

import time

import numpy as np

for n in (1024, 2048):
    x, w = (np.random.default_rng(i).random((n, n), dtype=np.float32) for i in (1, 2))
    x @ w.T
    times = []
    for _ in range(20):
        begun = time.perf_counter()
        x @ w.T
        times.append(time.perf_counter() - begun)
    print(f"numpy matmul {n}: median {sorted(times)[10] * 1e3:.2f} ms, {2 * n**3 / sorted(times)[10] / 1e9:.1f} Gflop/s")
