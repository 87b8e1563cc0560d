/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026, the diagmem authors
 *
 * pool_2d_of.h: for elements of type T, sums and limits of type WIDE.
 */
void OF(max_pool_2d)(const T *input, T *output, const struct geometry *g,
                      WIDE low, WIDE high)
{
    for (int32_t b = 0; b < g->batches; b++)
    for (int32_t y = 0; y < g->out_h; y++)
    for (int32_t x = 0; x < g->out_w; x++)
    for (int32_t c = 0; c < g->in_c; c++) {
        T most = LOWEST;
        for (int32_t fy = 0; fy < g->filter_h; fy++)
        for (int32_t fx = 0; fx < g->filter_w; fx++) {
            int32_t iy = y * g->stride_h - g->pad_h + fy;
            int32_t ix = x * g->stride_w - g->pad_w + fx;
            if (inside(g, iy, ix) && input[input_at(g, b, iy, ix, c)] > most)
                most = input[input_at(g, b, iy, ix, c)];
        }
        output[output_at(g, b, y, x, c)] = (T)CLAMP(most, low, high);
    }
}

void OF(average_pool_2d)(const T *input, T *output, const struct geometry *g,
                          WIDE low, WIDE high)
{
    for (int32_t b = 0; b < g->batches; b++)
    for (int32_t y = 0; y < g->out_h; y++)
    for (int32_t x = 0; x < g->out_w; x++)
    for (int32_t c = 0; c < g->in_c; c++) {
        WIDE sum = 0;
        int32_t count = 0;
        for (int32_t fy = 0; fy < g->filter_h; fy++)
        for (int32_t fx = 0; fx < g->filter_w; fx++) {
            int32_t iy = y * g->stride_h - g->pad_h + fy;
            int32_t ix = x * g->stride_w - g->pad_w + fx;
            if (inside(g, iy, ix)) {
                sum += input[input_at(g, b, iy, ix, c)];
                count++;
            }
        }
        if (count > 0)
            sum = QUOTIENT(sum, count);
        output[output_at(g, b, y, x, c)] = (T)CLAMP(sum, low, high);
    }
}
