/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026, the diagmem authors
 *
 * binary_of.h: over the output, read one element of each input, write.
 */
#ifndef DIAGMEM_BINARY_OF_H
#define DIAGMEM_BINARY_OF_H

struct two_shapes {
    int32_t extent1[AXES], extent2[AXES];
};

/* Strides over the output: 0 along an axis of one element. */
static inline void spread(const int32_t extent[AXES], ptrdiff_t stride[AXES])
{
    strides_of(extent, stride);
    for (int k = 0; k < AXES; k++)
        if (extent[k] == 1)
            stride[k] = 0;
}

static inline int32_t along(const struct two_shapes *s, int k)
{
    return s->extent1[k] == 1 ? s->extent2[k] : s->extent1[k];
}

#endif

#define BINARY(NAME, RESULT)                                                         \
    void OF(binary_##NAME)(const T *input1, const T *input2, T *output,              \
                           const struct two_shapes *s, float scale)                  \
    {                                                                                \
        ptrdiff_t p[AXES], q[AXES];                                                  \
        spread(s->extent1, p);                                                       \
        spread(s->extent2, q);                                                       \
        for (int32_t d0 = 0; d0 < along(s, 0); d0++)                                 \
        for (int32_t d1 = 0; d1 < along(s, 1); d1++)                                 \
        for (int32_t d2 = 0; d2 < along(s, 2); d2++)                                 \
        for (int32_t d3 = 0; d3 < along(s, 3); d3++)                                 \
        for (int32_t d4 = 0; d4 < along(s, 4); d4++) {                               \
            float x = REAL(input1[d0 * p[0] + d1 * p[1] + d2 * p[2] + d3 * p[3]      \
                                  + d4 * p[4]]);                                     \
            float y = REAL(input2[d0 * q[0] + d1 * q[1] + d2 * q[2] + d3 * q[3]      \
                                  + d4 * q[4]]);                                     \
            *output++ = STORE(RESULT, scale);                                        \
        }                                                                            \
    }

BINARY(ADD, x + y)
BINARY(SUB, x - y)
BINARY(MUL, x * y)
BINARY(DIV, x / (y < 0.0f ? y - 0.5f : y + 0.5f))
BINARY(MAXIMUM, x > y ? x : y)
BINARY(MINIMUM, x < y ? x : y)
BINARY(SQUARED_DIFFERENCE, (x - y) * (x - y))
/* The slope is read for positive elements, too, as in TFLite's reference kernel. */
BINARY(PRELU, x + (x < 0.0f ? x : 0.0f) * (y - 1.0f))

#undef BINARY
