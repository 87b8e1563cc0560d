/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026, the diagmem authors
 *
 * depthwise_conv_2d_of.h: the integer kernel, for elements of type T.
 */
/* scale and shift hold one multiplier per output channel. */
void OF(depthwise_conv_2d)(const T *input, const int8_t *filter, const int32_t *bias,
                            const int32_t *scale, const int32_t *shift, T *output,
                            const struct geometry *g, int32_t multiplier,
                            int32_t input_offset, int32_t output_offset,
                            int32_t low, int32_t high)
{
    for (int32_t b = 0; b < g->batches; b++)
    for (int32_t y = 0; y < g->out_h; y++)
    for (int32_t x = 0; x < g->out_w; x++)
    for (int32_t c = 0; c < g->in_c; c++)
    for (int32_t m = 0; m < multiplier; m++) {
        int32_t oc = c * multiplier + m;
        int32_t sum = 0;
        for (int32_t fy = 0; fy < g->filter_h; fy++)
        for (int32_t fx = 0; fx < g->filter_w; fx++) {
            int32_t iy = y * g->stride_h - g->pad_h + fy * g->dilation_h;
            int32_t ix = x * g->stride_w - g->pad_w + fx * g->dilation_w;
            if (inside(g, iy, ix))
                sum += (input[input_at(g, b, iy, ix, c)] + input_offset)
                       * filter[at(0, fy, fx, oc, g->filter_h, g->filter_w, g->out_c)];
        }
        sum = multiply_quantized(sum + bias[oc], scale[oc], shift[oc]) + output_offset;
        output[output_at(g, b, y, x, oc)] = (T)clamp_int32(sum, low, high);
    }
}
