/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026, the diagmem authors
 *
 * joining_of.h: runs of elements, copied one element after the other.
 */

/* One tensor after the other; up to four. */
void OF(pack)(const T *input1, const T *input2, const T *input3, const T *input4, T *output,
              int32_t count, int32_t outer, int32_t inner)
{
    const T *input[] = {input1, input2, input3, input4};
    for (int32_t i = 0; i < count; i++)
    for (int32_t k = 0; k < outer; k++)
    for (int32_t j = 0; j < inner; j++)
        output[((ptrdiff_t)k * count + i) * inner + j] = input[i][(ptrdiff_t)k * inner + j];
}

void OF(unpack)(const T *input, T *output1, T *output2, T *output3, T *output4,
                int32_t count, int32_t outer, int32_t inner)
{
    T *const output[] = {output1, output2, output3, output4};
    for (int32_t i = 0; i < count; i++)
    for (int32_t k = 0; k < outer; k++)
    for (int32_t j = 0; j < inner; j++)
        output[i][(ptrdiff_t)k * inner + j] = input[((ptrdiff_t)k * count + i) * inner + j];
}

/* Row by row: each tensor's part of it. */
void OF(split)(const T *input, T *output1, T *output2, T *output3, T *output4,
               int32_t count, int32_t outer, int32_t inner)
{
    T *const output[] = {output1, output2, output3, output4};
    for (int32_t k = 0; k < outer; k++)
    for (int32_t i = 0; i < count; i++)
    for (int32_t j = 0; j < inner; j++)
        output[i][(ptrdiff_t)k * inner + j] = *input++;
}
