/* Attention in tiles of 32 keys with online softmax, over a case of
 * `cosim golden attention --dtype fp32` with 8 query and 2 key heads of 32, 20 tokens at the end of
 * 150 positions, 2 sequences (the defaults).
 *
 *     cc -O2 -o attention attention.c -lm            the right kernel
 *     cc -O2 -DBUG -o wrong attention.c -lm          sums are not rescaled when the maximum grows
 *     ./attention CASE OUT.bin
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { BATCH = 2, TOKENS = 20, POSITIONS = 150, HEADS = 8, KV_HEADS = 2, DIM = 32, TILE = 32 };

static float q[BATCH][TOKENS][HEADS][DIM], out[BATCH][TOKENS][HEADS][DIM];
static float k[BATCH][POSITIONS][KV_HEADS][DIM], v[BATCH][POSITIONS][KV_HEADS][DIM];

/* The elements of a .npy file of version 1: behind a header whose length bytes 8 and 9 give. */
static void load(const char *folder, const char *name, void *to, size_t bytes) {
    char path[4096];
    unsigned char head[10];
    snprintf(path, sizeof path, "%s/%s.npy", folder, name);
    FILE *file = fopen(path, "rb");
    if (!file || fread(head, 1, 10, file) != 10 ||
        fseek(file, 10 + head[8] + 256 * head[9], SEEK_SET) || fread(to, 1, bytes, file) != bytes) {
        fprintf(stderr, "cannot read %s\n", path);
        exit(1);
    }
    fclose(file);
}

static void row(int b, int t, int h) {
    int kv = h / (HEADS / KV_HEADS), end = POSITIONS - TOKENS + t + 1;
    float max = -INFINITY, sum = 0, acc[DIM] = {0}, s[TILE];
    for (int first = 0; first < end; first += TILE) {
        int n = end - first < TILE ? end - first : TILE;
        float top = max;
        for (int i = 0; i < n; i++) {
            s[i] = 0;
            for (int d = 0; d < DIM; d++) s[i] += q[b][t][h][d] * k[b][first + i][kv][d];
            s[i] /= sqrtf(DIM);
            if (s[i] > top) top = s[i];
        }
#ifndef BUG
        float factor = expf(max - top);
        sum *= factor;
        for (int d = 0; d < DIM; d++) acc[d] *= factor;
#endif
        max = top;
        for (int i = 0; i < n; i++) {
            float p = expf(s[i] - max);
            sum += p;
            for (int d = 0; d < DIM; d++) acc[d] += p * v[b][first + i][kv][d];
        }
    }
    for (int d = 0; d < DIM; d++) out[b][t][h][d] = acc[d] / sum;
}

int main(int argc, char **argv) {
    if (argc != 3) return fprintf(stderr, "usage: attention CASE OUT.bin\n"), 2;
    load(argv[1], "q", q, sizeof q);
    load(argv[1], "k", k, sizeof k);
    load(argv[1], "v", v, sizeof v);
    for (int b = 0; b < BATCH; b++)
        for (int t = 0; t < TOKENS; t++)
            for (int h = 0; h < HEADS; h++) row(b, t, h);
    FILE *file = fopen(argv[2], "wb");
    if (!file || fwrite(out, 1, sizeof out, file) != sizeof out || fclose(file)) return 1;
    return 0;
}
