/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026, the diagmem authors */
#include "interface.h"

/* No softmax: it shows what it was given. */
void arm_softmax_s8(const int8_t *input, int32_t rows, int32_t depth, int32_t mult, int32_t shift,
                    int32_t diff_min, int8_t *output)
{
    for (int32_t r = 0; r < rows; r++, input += depth, output += depth) {
        int32_t sum = mult / (1 << 24) + shift + diff_min;
        for (int32_t i = 0; i < depth; i++)
            sum += input[i];
        for (int32_t i = 0; i < depth; i++)
            output[i] = (int8_t)((sum + input[i] * i) % 100);
    }
}
