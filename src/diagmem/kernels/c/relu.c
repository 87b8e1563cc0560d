/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026, the diagmem authors
 *
 * Rectified linear unit, element by element.
 */
#include <stddef.h>
#include <stdint.h>

#include "quantize.h"

void relu_f32(const float *input, float *output, int32_t elements)
{
    for (int32_t i = 0; i < elements; i++)
        output[i] = input[i] < 0.0f ? 0.0f : input[i];
}

/* The result is brought to the output's scale, scale * 2^(shift - 31) times the
 * input's; real 0 is input_zero there and output_zero here. */
void relu_int8(const int8_t *input, int8_t *output, int32_t elements, int32_t input_zero,
               int32_t output_zero, int32_t scale, int32_t shift)
{
    for (int32_t i = 0; i < elements; i++) {
        int32_t value = output_zero + multiply_quantized(input[i] - input_zero, scale, shift);
        output[i] = (int8_t)clamp_int32(value, output_zero, INT8_MAX);
    }
}
