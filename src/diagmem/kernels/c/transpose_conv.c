/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026, the diagmem authors
 *
 * Transposed convolution in the loop order of TFLite's reference kernels: the
 * input is gone through from end to end and scattered, in floats into the output
 * itself, which is set to 0 before, in integers into scratch memory.  The filter
 * is [out_c, filter_h, filter_w, in_c].
 */
#include <string.h>

#include "geometry.h"
#include "quantize.h"

/* Is there an output where input y, x meets the filter's tap? */
static inline int output_inside(const struct geometry *g, int32_t y, int32_t x)
{
    return y >= 0 && y < g->out_h && x >= 0 && x < g->out_w;
}

void transpose_conv_float32(const float *input, const float *filter, const float *bias,
                            float *output, const struct geometry *g)
{
    size_t outputs = (size_t)g->batches * (size_t)g->out_h * (size_t)g->out_w * (size_t)g->out_c;
    for (size_t i = 0; i < outputs; i++)
        output[i] = 0.0f;
    for (int32_t b = 0; b < g->batches; b++)
    for (int32_t y = 0; y < g->in_h; y++)
    for (int32_t x = 0; x < g->in_w; x++)
    for (int32_t c = 0; c < g->in_c; c++)
    for (int32_t fy = 0; fy < g->filter_h; fy++)
    for (int32_t fx = 0; fx < g->filter_w; fx++)
    for (int32_t oc = 0; oc < g->out_c; oc++) {
        int32_t oy = y * g->stride_h - g->pad_h + fy, ox = x * g->stride_w - g->pad_w + fx;
        if (output_inside(g, oy, ox))
            output[output_at(g, b, oy, ox, oc)]
                += input[input_at(g, b, y, x, c)]
                   * filter[at(oc, fy, fx, c, g->filter_h, g->filter_w, g->in_c)];
    }
    for (size_t i = 0; i < outputs; i++)
        output[i] += bias[i % (size_t)g->out_c];
}

#define TRANSPOSE_CONV(NAME, T, LOW, HIGH)                                           \
    void transpose_conv_##NAME(const T *input, const int8_t *filter,                 \
                               const int32_t *bias, T *output, int32_t *sums,        \
                               const struct geometry *g, int32_t scale, int32_t shift) \
    {                                                                                \
        size_t outputs = (size_t)g->batches * (size_t)g->out_h * (size_t)g->out_w    \
                         * (size_t)g->out_c;                                         \
        memset(sums, 0, outputs * sizeof *sums);                                     \
        for (int32_t b = 0; b < g->batches; b++)                                     \
        for (int32_t y = 0; y < g->in_h; y++)                                        \
        for (int32_t x = 0; x < g->in_w; x++)                                        \
        for (int32_t c = 0; c < g->in_c; c++)                                        \
        for (int32_t fy = 0; fy < g->filter_h; fy++)                                 \
        for (int32_t fx = 0; fx < g->filter_w; fx++)                                 \
        for (int32_t oc = 0; oc < g->out_c; oc++) {                                  \
            int32_t oy = y * g->stride_h - g->pad_h + fy;                            \
            int32_t ox = x * g->stride_w - g->pad_w + fx;                            \
            if (output_inside(g, oy, ox))                                            \
                sums[output_at(g, b, oy, ox, oc)]                                    \
                    += input[input_at(g, b, y, x, c)]                                \
                       * filter[at(oc, fy, fx, c, g->filter_h, g->filter_w, g->in_c)]; \
        }                                                                            \
        for (size_t i = 0; i < outputs; i++) {                                       \
            int32_t sum = sums[i] + bias[i % (size_t)g->out_c];                      \
            output[i] = (T)clamp_int32(multiply_quantized(sum, scale, shift), LOW, HIGH); \
        }                                                                            \
    }

TRANSPOSE_CONV(int8, int8_t, INT8_MIN, INT8_MAX)
TRANSPOSE_CONV(int16, int16_t, INT16_MIN, INT16_MAX)
