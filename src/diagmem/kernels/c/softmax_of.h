/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026, the diagmem authors
 *
 * softmax_of.h: the integer kernel, for elements of type T from LOWEST on.
 */
/* Float inside; the output has scale 1/256 and zero point -128, or for int16 1/32768
 * and 0, as TFLite fixes them.  beta is multiplied by the input's scale already. */
void OF(softmax)(const T *input, T *output, int32_t rows, int32_t depth, float beta)
{
    const float steps = sizeof(T) == 1 ? 256.0f : 32768.0f;
    const int32_t zero = sizeof(T) == 1 ? -128 : 0;
    for (int32_t r = 0; r < rows; r++) {
        const T *in = input + (size_t)r * (size_t)depth;
        T *out = output + (size_t)r * (size_t)depth;
        T most = in[0];
        float sum = 0.0f;
        for (int32_t d = 1; d < depth; d++)
            most = in[d] > most ? in[d] : most;
        for (int32_t d = 0; d < depth; d++)
            sum += expf((float)(in[d] - most) * beta);
        for (int32_t d = 0; d < depth; d++) {
            float share = expf((float)(in[d] - most) * beta) / sum;
            out[d] = (T)clamp_int32((int32_t)lrintf(share * steps) + zero, LOWEST, -LOWEST - 1);
        }
    }
}
