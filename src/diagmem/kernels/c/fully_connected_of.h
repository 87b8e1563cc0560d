/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026, the diagmem authors
 *
 * fully_connected_of.h: the integer kernel, for elements of type T.
 */
void OF(fully_connected)(const T *input, const int8_t *filter, const int32_t *bias,
                          T *output, int32_t batches, int32_t depth, int32_t outputs,
                          const struct fully_connected_scales *s, int32_t low, int32_t high)
{
    for (int32_t b = 0; b < batches; b++)
    for (int32_t o = 0; o < outputs; o++) {
        int32_t sum = 0;
        for (int32_t d = 0; d < depth; d++)
            sum += (input[(size_t)b * (size_t)depth + (size_t)d] + s->input_offset)
                   * (filter[(size_t)o * (size_t)depth + (size_t)d] + s->filter_offset);
        sum = multiply_quantized(sum + bias[o], s->scale, s->shift) + s->output_offset;
        output[(size_t)b * (size_t)outputs + (size_t)o] = (T)clamp_int32(sum, low, high);
    }
}
