/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026, the diagmem authors
 *
 * Pools in the loop order of TFLite's reference kernels: batch, y, x, channel;
 * then the filter.  Padding takes no part, neither in the maximum nor in the
 * number that an average is divided by; the average of nothing is 0.
 */
#include <float.h>

#include "geometry.h"
#include "quantize.h"

void max_pool_2d_f32(const float *input, float *output, const struct geometry *g,
                     float low, float high)
{
    for (int32_t b = 0; b < g->batches; b++)
    for (int32_t y = 0; y < g->out_h; y++)
    for (int32_t x = 0; x < g->out_w; x++)
    for (int32_t c = 0; c < g->in_c; c++) {
        float most = -FLT_MAX;
        for (int32_t fy = 0; fy < g->filter_h; fy++)
        for (int32_t fx = 0; fx < g->filter_w; fx++) {
            int32_t iy = y * g->stride_h - g->pad_h + fy;
            int32_t ix = x * g->stride_w - g->pad_w + fx;
            if (inside(g, iy, ix) && input[input_at(g, b, iy, ix, c)] > most)
                most = input[input_at(g, b, iy, ix, c)];
        }
        output[output_at(g, b, y, x, c)] = clamp_float(most, low, high);
    }
}

void average_pool_2d_f32(const float *input, float *output, const struct geometry *g,
                         float low, float high)
{
    for (int32_t b = 0; b < g->batches; b++)
    for (int32_t y = 0; y < g->out_h; y++)
    for (int32_t x = 0; x < g->out_w; x++)
    for (int32_t c = 0; c < g->in_c; c++) {
        float sum = 0.0f;
        int32_t count = 0;
        for (int32_t fy = 0; fy < g->filter_h; fy++)
        for (int32_t fx = 0; fx < g->filter_w; fx++) {
            int32_t iy = y * g->stride_h - g->pad_h + fy;
            int32_t ix = x * g->stride_w - g->pad_w + fx;
            if (inside(g, iy, ix)) {
                sum += input[input_at(g, b, iy, ix, c)];
                count++;
            }
        }
        output[output_at(g, b, y, x, c)] = clamp_float(count > 0 ? sum / (float)count : 0.0f, low, high);
    }
}

#define T int8_t
#define OF(name) name##_int8
#define LOWEST INT8_MIN
#include "pool_2d_of.h"
#undef T
#undef OF
#undef LOWEST

#define T int16_t
#define OF(name) name##_int16
#define LOWEST INT16_MIN
#include "pool_2d_of.h"
