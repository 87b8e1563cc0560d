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

/* To the nearest integer, halves away from zero. */
static inline int32_t rounded_quotient(int32_t sum, int32_t count)
{
    return (sum + (sum > 0 ? count / 2 : -(count / 2))) / count;
}

#define T float
#define OF(name) name##_f32
#define LOWEST (-FLT_MAX)
#define WIDE float
#define CLAMP clamp_float
#define QUOTIENT(sum, count) ((sum) / (float)(count))
#include "pool_2d_of.h"
#undef T
#undef OF
#undef LOWEST
#undef WIDE
#undef CLAMP
#undef QUOTIENT

#define WIDE int32_t
#define CLAMP clamp_int32
#define QUOTIENT rounded_quotient
#define TEMPLATE "pool_2d_of.h"
#include "for_integers.h"
