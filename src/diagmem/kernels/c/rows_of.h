/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026, the diagmem authors
 *
 * rows_of.h: a row is gone through more than once, the last time it is written.
 */
#ifndef DIAGMEM_ROWS_OF_H
#define DIAGMEM_ROWS_OF_H

struct matrices {
    /* Two axes of batches; an axis of 1 serves for all. */
    int32_t batches1[2], batches2[2];
    int32_t rows, inner, columns;
    int32_t adj_x, adj_y;
};

#endif

void OF(log_softmax)(const T *input, T *output, int32_t rows, int32_t depth, float scale)
{
    for (int32_t r = 0; r < rows; r++, input += depth, output += depth) {
        float most = REAL(input[0]), sum = 0.0f;
        for (int32_t d = 1; d < depth; d++)
            most = REAL(input[d]) > most ? REAL(input[d]) : most;
        for (int32_t d = 0; d < depth; d++)
            sum += expf(REAL(input[d]) - most);
        for (int32_t d = 0; d < depth; d++)
            output[d] = STORE(REAL(input[d]) - most - logf(sum), scale);
    }
}

void OF(l2_normalization)(const T *input, T *output, int32_t rows, int32_t depth, float scale)
{
    for (int32_t r = 0; r < rows; r++, input += depth, output += depth) {
        float sum = 1e-6f;
        for (int32_t d = 0; d < depth; d++)
            sum += REAL(input[d]) * REAL(input[d]);
        for (int32_t d = 0; d < depth; d++)
            output[d] = STORE(REAL(input[d]) / sqrtf(sum), scale);
    }
}

void OF(batch_matmul)(const T *input1, const T *input2, T *output, const struct matrices *m,
                      float scale)
{
    for (int32_t b0 = 0; b0 < (m->batches1[0] == 1 ? m->batches2[0] : m->batches1[0]); b0++)
    for (int32_t b1 = 0; b1 < (m->batches1[1] == 1 ? m->batches2[1] : m->batches1[1]); b1++) {
        ptrdiff_t left = (m->batches1[0] == 1 ? 0 : b0) * m->batches1[1]
                         + (m->batches1[1] == 1 ? 0 : b1);
        ptrdiff_t right = (m->batches2[0] == 1 ? 0 : b0) * m->batches2[1]
                          + (m->batches2[1] == 1 ? 0 : b1);
        const T *x = input1 + left * m->rows * m->inner;
        const T *y = input2 + right * m->inner * m->columns;
        for (int32_t i = 0; i < m->rows; i++)
        for (int32_t j = 0; j < m->columns; j++) {
            float sum = 0.0f;
            for (int32_t k = 0; k < m->inner; k++)
                sum += REAL(x[m->adj_x ? k * m->rows + i : i * m->inner + k])
                       * REAL(y[m->adj_y ? j * m->inner + k : k * m->columns + j]);
            *output++ = STORE(sum, scale);
        }
    }
}
