/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026, the diagmem authors
 *
 * geometry.h: sizes of the kernels that slide a window over a picture.
 *
 * Tensors are NHWC, row-major.  The window of output (y, x) begins at input
 * (y * stride_h - pad_h, x * stride_w - pad_w); what lies in the padding is
 * skipped.
 */
#ifndef DIAGMEM_GEOMETRY_H
#define DIAGMEM_GEOMETRY_H

#include <stddef.h>
#include <stdint.h>

struct geometry {
    int32_t batches;
    int32_t in_h, in_w, in_c;
    int32_t filter_h, filter_w;
    int32_t out_h, out_w, out_c;
    int32_t stride_h, stride_w;
    int32_t dilation_h, dilation_w;
    int32_t pad_h, pad_w;
};

/* Index of an element of a tensor [batches, h, w, c]. */
static inline size_t at(int32_t b, int32_t y, int32_t x, int32_t channel,
                        int32_t h, int32_t w, int32_t c)
{
    return (((size_t)b * (size_t)h + (size_t)y) * (size_t)w + (size_t)x) * (size_t)c
           + (size_t)channel;
}

static inline size_t input_at(const struct geometry *g, int32_t b, int32_t y, int32_t x, int32_t c)
{
    return at(b, y, x, c, g->in_h, g->in_w, g->in_c);
}

static inline size_t output_at(const struct geometry *g, int32_t b, int32_t y, int32_t x, int32_t c)
{
    return at(b, y, x, c, g->out_h, g->out_w, g->out_c);
}

static inline int inside(const struct geometry *g, int32_t y, int32_t x)
{
    return y >= 0 && y < g->in_h && x >= 0 && x < g->in_w;
}

#endif
