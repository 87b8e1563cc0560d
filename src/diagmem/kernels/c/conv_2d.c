/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026, the diagmem authors
 *
 * Convolution in the loop order of TFLite's reference kernel: batch, y, x,
 * output channel; then filter row, filter column, input channel.  The filter
 * is [out_c, filter_h, filter_w, in_c].
 */
#include "geometry.h"
#include "quantize.h"

void conv_2d_f32(const float *input, const float *filter, const float *bias, float *output,
                 const struct geometry *g, float low, float high)
{
    for (int32_t b = 0; b < g->batches; b++)
    for (int32_t y = 0; y < g->out_h; y++)
    for (int32_t x = 0; x < g->out_w; x++)
    for (int32_t oc = 0; oc < g->out_c; oc++) {
        float sum = 0.0f;
        for (int32_t fy = 0; fy < g->filter_h; fy++)
        for (int32_t fx = 0; fx < g->filter_w; fx++) {
            int32_t iy = y * g->stride_h - g->pad_h + fy * g->dilation_h;
            int32_t ix = x * g->stride_w - g->pad_w + fx * g->dilation_w;
            if (!inside(g, iy, ix))
                continue;
            for (int32_t c = 0; c < g->in_c; c++)
                sum += input[input_at(g, b, iy, ix, c)]
                       * filter[at(oc, fy, fx, c, g->filter_h, g->filter_w, g->in_c)];
        }
        output[output_at(g, b, y, x, oc)] = clamp_float(sum + bias[oc], low, high);
    }
}

#define TEMPLATE "conv_2d_of.h"
#include "for_integers.h"
