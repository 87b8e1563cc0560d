/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026, the diagmem authors
 *
 * Convolution as optimised int8 kernels work: the windows of two neighbouring
 * outputs are widened into a scratch row each, and then every filter is multiplied
 * with both.  An odd last column goes alone.  The loop order is not the reference
 * kernel's: by the time the first channel is written, both windows have been read.
 */
#include "geometry.h"
#include "quantize.h"

/* Copy the window of output (y, x), widened; what lies in the padding is 0. */
static void widen(const int8_t *input, const struct geometry *g, int32_t b, int32_t y, int32_t x,
                  int32_t input_offset, int16_t *column)
{
    for (int32_t fy = 0; fy < g->filter_h; fy++)
    for (int32_t fx = 0; fx < g->filter_w; fx++) {
        int32_t iy = y * g->stride_h - g->pad_h + fy * g->dilation_h;
        int32_t ix = x * g->stride_w - g->pad_w + fx * g->dilation_w;
        for (int32_t c = 0; c < g->in_c; c++)
            *column++ = inside(g, iy, ix)
                        ? (int16_t)(input[input_at(g, b, iy, ix, c)] + input_offset) : 0;
    }
}

static int32_t product(const int8_t *filter, const int16_t *column, int32_t length)
{
    int32_t sum = 0;
    for (int32_t i = 0; i < length; i++)
        sum += filter[i] * column[i];
    return sum;
}

/* columns: two of filter_h * filter_w * in_c elements; scale and shift hold one
 * multiplier per output channel. */
void conv_2d_two_columns(const int8_t *input, const int8_t *filter, const int32_t *bias,
                         const int32_t *scale, const int32_t *shift, int16_t *columns,
                         int8_t *output, const struct geometry *g, int32_t input_offset,
                         int32_t output_offset, int32_t low, int32_t high)
{
    int32_t length = g->filter_h * g->filter_w * g->in_c;
    for (int32_t b = 0; b < g->batches; b++)
    for (int32_t y = 0; y < g->out_h; y++)
    for (int32_t x = 0; x < g->out_w; x += 2) {
        int32_t wide = x + 1 < g->out_w ? 2 : 1;
        for (int32_t j = 0; j < wide; j++)
            widen(input, g, b, y, x + j, input_offset, columns + j * length);
        for (int32_t oc = 0; oc < g->out_c; oc++)
        for (int32_t j = 0; j < wide; j++) {
            int32_t sum = product(filter + (size_t)oc * (size_t)length, columns + j * length, length);
            sum = multiply_quantized(sum + bias[oc], scale[oc], shift[oc]) + output_offset;
            output[output_at(g, b, y, x + j, oc)] = (int8_t)clamp_int32(sum, low, high);
        }
    }
}
