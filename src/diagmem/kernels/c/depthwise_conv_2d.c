/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026, the diagmem authors
 *
 * Depthwise convolution in the loop order of TFLite's reference kernel:
 * batch, y, x, input channel, multiplier; then the filter.  The filter is
 * [filter_h, filter_w, out_c] with out_c = in_c * multiplier.
 */
#include "geometry.h"
#include "quantize.h"

void depthwise_conv_2d_f32(const float *input, const float *filter, const float *bias,
                           float *output, const struct geometry *g, int32_t multiplier,
                           float low, float high)
{
    for (int32_t b = 0; b < g->batches; b++)
    for (int32_t y = 0; y < g->out_h; y++)
    for (int32_t x = 0; x < g->out_w; x++)
    for (int32_t c = 0; c < g->in_c; c++)
    for (int32_t m = 0; m < multiplier; m++) {
        int32_t oc = c * multiplier + m;
        float sum = 0.0f;
        for (int32_t fy = 0; fy < g->filter_h; fy++)
        for (int32_t fx = 0; fx < g->filter_w; fx++) {
            int32_t iy = y * g->stride_h - g->pad_h + fy * g->dilation_h;
            int32_t ix = x * g->stride_w - g->pad_w + fx * g->dilation_w;
            if (inside(g, iy, ix))
                sum += input[input_at(g, b, iy, ix, c)]
                       * filter[at(0, fy, fx, oc, g->filter_h, g->filter_w, g->out_c)];
        }
        output[output_at(g, b, y, x, oc)] = clamp_float(sum + bias[oc], low, high);
    }
}

#define TEMPLATE "depthwise_conv_2d_of.h"
#include "for_integers.h"
