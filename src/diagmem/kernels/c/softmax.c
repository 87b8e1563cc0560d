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

#define TEMPLATE "softmax_of.h"
#include "for_integers.h"
