/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026, the diagmem authors
 *
 * Fully connected layer in the loop order of TFLite's reference kernel: batch,
 * output; then the depth.  The filter is [outputs, depth].
 */
#include <stddef.h>
#include <stdint.h>

#include "quantize.h"

void fully_connected_f32(const float *input, const float *filter, const float *bias,
                         float *output, int32_t batches, int32_t depth, int32_t outputs,
                         float low, float high)
{
    for (int32_t b = 0; b < batches; b++)
    for (int32_t o = 0; o < outputs; o++) {
        float sum = 0.0f;
        for (int32_t d = 0; d < depth; d++)
            sum += input[(size_t)b * (size_t)depth + (size_t)d]
                   * filter[(size_t)o * (size_t)depth + (size_t)d];
        output[(size_t)b * (size_t)outputs + (size_t)o] = clamp_float(sum + bias[o], low, high);
    }
}

struct fully_connected_scales {
    int32_t input_offset, filter_offset, output_offset;
    int32_t scale, shift;
};

#define TEMPLATE "fully_connected_of.h"
#include "for_integers.h"
