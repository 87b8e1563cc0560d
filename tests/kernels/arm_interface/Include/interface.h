/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026, the diagmem authors
 *
 * interface.h: what a caller of CMSIS-NN passes, for stand-ins of its kernels.
 *
 * The order of arguments and fields is the library's; the code is not.
 */
#ifndef INTERFACE_H
#define INTERFACE_H

#include <stddef.h>
#include <stdint.h>

typedef struct { void *buf; int32_t size; } context;
typedef struct { int32_t n, h, w, c; } dims;
typedef struct { int32_t w, h; } tile;
typedef struct { int32_t min, max; } range;
typedef struct { int32_t *multiplier, *shift; } channel_quant;
typedef struct { int32_t multiplier, shift; } tensor_quant;
typedef struct { int32_t *multiplier, *shift, is_per_channel; } either_quant;
typedef struct { int32_t in, out; tile stride, padding, dilation; range act; } conv_params;
typedef struct { int32_t in, out, ch_mult; tile stride, padding, dilation; range act; } dw_params;
typedef struct { tile stride, padding; range act; } pool_params;
typedef struct { int32_t in, filter, out; range act; } fc_params;

static inline int32_t clamped(int32_t value, range to)
{
    return value < to.min ? to.min : value > to.max ? to.max : value;
}

/* value * multiplier * 2^(shift - 31), rounded to the nearest, halves upwards. */
static inline int32_t scaled(int32_t value, int32_t multiplier, int32_t shift)
{
    int32_t right = 31 - shift;
    return (int32_t)(((int64_t)value * multiplier + ((int64_t)1 << (right - 1))) >> right);
}

/* The index of a tap's pixel, -1 in the padding. */
static inline int32_t pixel(const dims *in, tile at, int32_t batch)
{
    if (at.h < 0 || at.h >= in->h || at.w < 0 || at.w >= in->w)
        return -1;
    return ((batch * in->h + at.h) * in->w + at.w) * in->c;
}

static inline tile tap(tile out, tile filter, tile stride, tile padding, tile dilation)
{
    tile found = {out.w * stride.w - padding.w + filter.w * dilation.w,
                  out.h * stride.h - padding.h + filter.h * dilation.h};
    return found;
}

#endif
