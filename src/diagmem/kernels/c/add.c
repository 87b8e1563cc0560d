/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026, the diagmem authors
 *
 * The sum of two tensors of one shape, element by element.
 */
#include <stddef.h>
#include <stdint.h>

#include "quantize.h"

void add_f32(const float *input1, const float *input2, float *output, int32_t elements,
             float low, float high)
{
    for (int32_t i = 0; i < elements; i++)
        output[i] = clamp_float(input1[i] + input2[i], low, high);
}

struct add_scales {
    int32_t input1_offset, input1_scale, input1_shift;
    int32_t input2_offset, input2_scale, input2_shift;
    int32_t output_offset, output_scale, output_shift;
    int32_t left_shift;
};

/* Both inputs are brought to one common scale, with left_shift more bits than
 * they have, added, and brought to the output's. */
void add_int8(const int8_t *input1, const int8_t *input2, int8_t *output, int32_t elements,
              const struct add_scales *s, int32_t low, int32_t high)
{
    int32_t more = (int32_t)1 << s->left_shift;
    for (int32_t i = 0; i < elements; i++) {
        int32_t a = (input1[i] + s->input1_offset) * more;
        int32_t b = (input2[i] + s->input2_offset) * more;
        int32_t sum = multiply_quantized(a, s->input1_scale, s->input1_shift)
                      + multiply_quantized(b, s->input2_scale, s->input2_shift);
        sum = multiply_quantized(sum, s->output_scale, s->output_shift) + s->output_offset;
        output[i] = (int8_t)clamp_int32(sum, low, high);
    }
}
