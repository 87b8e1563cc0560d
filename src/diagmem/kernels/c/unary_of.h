/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026, the diagmem authors
 *
 * unary_of.h: for each element, read, compute, write.  scale keeps results of
 * integers within their range.
 */
#define UNARY(NAME, RESULT)                                                          \
    void OF(unary_##NAME)(const T *input, T *output, int32_t elements, float scale)  \
    {                                                                                \
        for (int32_t i = 0; i < elements; i++) {                                     \
            float x = REAL(input[i]);                                                \
            output[i] = STORE(RESULT, scale);                                        \
        }                                                                            \
    }

UNARY(RELU, x > 0.0f ? x : 0.0f)
UNARY(RELU6, x > 6.0f ? 6.0f : x > 0.0f ? x : 0.0f)
UNARY(LOGISTIC, 1.0f / (1.0f + expf(-x)))
UNARY(TANH, tanhf(x))
UNARY(HARD_SWISH, x * clamp_float(x + 3.0f, 0.0f, 6.0f) / 6.0f)
UNARY(LEAKY_RELU, x > 0.0f ? x : 0.2f * x)
UNARY(ABS, fabsf(x))
UNARY(NEG, -x)
UNARY(SQRT, sqrtf(fabsf(x)))
UNARY(RSQRT, 1.0f / sqrtf(fabsf(x) + 0.01f))
UNARY(EXP, expf(x))

#undef UNARY
