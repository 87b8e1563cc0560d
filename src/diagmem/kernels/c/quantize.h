/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026, the diagmem authors
 *
 * quantize.h: what the int8 kernels share.
 */
#ifndef DIAGMEM_QUANTIZE_H
#define DIAGMEM_QUANTIZE_H

#include <stdint.h>

static inline int32_t clamp_int32(int32_t value, int32_t low, int32_t high)
{
    return value < low ? low : value > high ? high : value;
}

static inline float clamp_float(float value, float low, float high)
{
    return value < low ? low : value > high ? high : value;
}

/* x * q * 2^(shift - 31), rounded once to the nearest integer, halves upwards.
 * The multiplier q has 31 bits, 2^30 <= q < 2^31; -31 < shift < 31.  An
 * arithmetic right shift is the floor of a division by a power of two. */
static inline int32_t multiply_quantized(int32_t x, int32_t q, int32_t shift)
{
    int32_t right = 31 - shift;
    int64_t half = (int64_t)1 << (right - 1);
    return (int32_t)(((int64_t)x * q + half) >> right);
}

#endif
