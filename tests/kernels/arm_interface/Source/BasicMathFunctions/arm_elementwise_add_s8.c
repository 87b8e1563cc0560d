/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026, the diagmem authors */
#include "interface.h"

int arm_elementwise_add_s8(const int8_t *first, const int8_t *second, int32_t offset1, int32_t mult1,
                           int32_t shift1, int32_t offset2, int32_t mult2, int32_t shift2,
                           int32_t left_shift, int8_t *output, int32_t out_offset,
                           int32_t out_mult, int32_t out_shift, int32_t low, int32_t high,
                           int32_t elements)
{
    range act = {low, high};
    for (int32_t i = 0; i < elements; i++) {
        int32_t one = scaled((first[i] + offset1) * (1 << left_shift), mult1, shift1);
        int32_t two = scaled((second[i] + offset2) * (1 << left_shift), mult2, shift2);
        output[i] = (int8_t)clamped(scaled(one + two, out_mult, out_shift) + out_offset, act);
    }
    return 0;
}
