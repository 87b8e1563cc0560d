/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026, the diagmem authors
 *
 * for_types.h: includes TEMPLATE once for each element type.
 *
 * There, T is the type and OF(name) the name of its variant.  REAL(x) is the
 * real number that an element stands for and STORE(v, s) the element for v * s:
 * integers are fixed-point numbers from -2 to 2, rounded and clamped.  LOWEST is
 * the lowest element.
 */
#ifndef DIAGMEM_FOR_TYPES_H
#define DIAGMEM_FOR_TYPES_H

#include <float.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>

#include "quantize.h"

#define AXES 5

static inline int32_t to_fixed(float value, float unit, int32_t low, int32_t high)
{
    float scaled = value * unit;
    if (!(scaled > (float)low))
        return low;
    return scaled < (float)high ? (int32_t)lrintf(scaled) : high;
}

/* Elements between neighbours on each axis of a row-major tensor. */
static inline void strides_of(const int32_t extent[AXES], ptrdiff_t stride[AXES])
{
    ptrdiff_t elements = 1;
    for (int k = AXES - 1; k >= 0; k--) {
        stride[k] = elements;
        elements *= extent[k];
    }
}

#endif

#define T float
#define OF(name) name##_float32
#define REAL(x) (x)
#define STORE(v, s) ((void)(s), (v))
#define IS_FLOAT 1
#define LOWEST (-FLT_MAX)
#include TEMPLATE
#undef T
#undef OF
#undef REAL
#undef STORE
#undef IS_FLOAT
#undef LOWEST

/* What an integer counts for 1. */
#define UNIT (sizeof(T) == 1 ? 64.0f : 16384.0f)
#define REAL(x) ((float)(x) / UNIT)
#define STORE(v, s) ((T)to_fixed((v) * (s), UNIT, LOWEST, -(LOWEST + 1)))
#define IS_FLOAT 0
#include "for_integers.h"
