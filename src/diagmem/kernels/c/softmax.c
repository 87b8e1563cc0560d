/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026, the diagmem authors
 *
 * Softmax over the last axis, row by row in three passes as in TFLite's
 * reference kernel: the largest element, the sum, the results.
 */
#include <math.h>
#include <stddef.h>
#include <stdint.h>

#include "quantize.h"

void softmax_f32(const float *input, float *output, int32_t rows, int32_t depth, float beta)
{
    for (int32_t r = 0; r < rows; r++) {
        const float *in = input + (size_t)r * (size_t)depth;
        float *out = output + (size_t)r * (size_t)depth;
        float most = in[0], sum = 0.0f;
        for (int32_t d = 1; d < depth; d++)
            most = in[d] > most ? in[d] : most;
        for (int32_t d = 0; d < depth; d++)
            sum += expf((in[d] - most) * beta);
        for (int32_t d = 0; d < depth; d++)
            out[d] = expf((in[d] - most) * beta) / sum;
    }
}

/* Float inside; the output has scale 1/256 and zero point -128, as TFLite fixes
 * it.  beta is multiplied by the input's scale already. */
void softmax_int8(const int8_t *input, int8_t *output, int32_t rows, int32_t depth, float beta)
{
    for (int32_t r = 0; r < rows; r++) {
        const int8_t *in = input + (size_t)r * (size_t)depth;
        int8_t *out = output + (size_t)r * (size_t)depth;
        int8_t most = in[0];
        float sum = 0.0f;
        for (int32_t d = 1; d < depth; d++)
            most = in[d] > most ? in[d] : most;
        for (int32_t d = 0; d < depth; d++)
            sum += expf((float)(in[d] - most) * beta);
        for (int32_t d = 0; d < depth; d++) {
            float share = expf((float)(in[d] - most) * beta) / sum;
            out[d] = (int8_t)clamp_int32((int32_t)lrintf(share * 256.0f) - 128, -128, 127);
        }
    }
}
