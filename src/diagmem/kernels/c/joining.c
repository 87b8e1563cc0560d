/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026, the diagmem authors
 *
 * Operators that copy runs of elements.  Those that TFLite copies by memcpy are
 * copied by memcpy here: how the library does it is its own affair.
 */
#define TEMPLATE "joining_of.h"
#include <string.h>

#include "for_types.h"

void reshape(const void *input, void *output, int32_t bytes)
{
    memcpy(output, input, (size_t)bytes);
}

/* Up to four inputs; bytes of each one's run, 0 where there is none. */
void concatenation(const uint8_t *input1, const uint8_t *input2, const uint8_t *input3,
                   const uint8_t *input4, uint8_t *output, int32_t outer, int32_t bytes1,
                   int32_t bytes2, int32_t bytes3, int32_t bytes4)
{
    const uint8_t *input[] = {input1, input2, input3, input4};
    const int32_t bytes[] = {bytes1, bytes2, bytes3, bytes4};
    for (int32_t k = 0; k < outer; k++)
    for (int i = 0; i < 4; i++)
        if (bytes[i] > 0) {
            memcpy(output, input[i] + (size_t)k * (size_t)bytes[i], (size_t)bytes[i]);
            output += bytes[i];
        }
}
