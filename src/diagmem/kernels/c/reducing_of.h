/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026, the diagmem authors
 *
 * reducing_of.h: mean over height and width, picture by picture; and the general
 * ones, which go through the input from end to end, as TFLite's do.
 */
#ifndef DIAGMEM_REDUCING_OF_H
#define DIAGMEM_REDUCING_OF_H

struct reduction {
    int32_t extent[AXES];
    /* 1 for an axis that is reduced, else 0. */
    int32_t reduced[AXES];
    int32_t outputs;
    /* Elements that make up one result. */
    int32_t each;
};

/* Strides of the output over the input's axes. */
static inline void kept(const struct reduction *r, ptrdiff_t stride[AXES])
{
    int32_t extent[AXES];
    for (int k = 0; k < AXES; k++)
        extent[k] = r->reduced[k] ? 1 : r->extent[k];
    strides_of(extent, stride);
    for (int k = 0; k < AXES; k++)
        if (r->reduced[k])
            stride[k] = 0;
}

#endif

#define FOR_EACH_INPUT(r)                                                            \
    for (int32_t d0 = 0; d0 < (r)->extent[0]; d0++)                                  \
    for (int32_t d1 = 0; d1 < (r)->extent[1]; d1++)                                  \
    for (int32_t d2 = 0; d2 < (r)->extent[2]; d2++)                                  \
    for (int32_t d3 = 0; d3 < (r)->extent[3]; d3++)                                  \
    for (int32_t d4 = 0; d4 < (r)->extent[4]; d4++)
#define PLACE(s) (d0 * (s)[0] + d1 * (s)[1] + d2 * (s)[2] + d3 * (s)[3] + d4 * (s)[4])

#if IS_FLOAT
void mean_of_picture_float32(const float *input, float *output, int32_t batches,
                             int32_t height, int32_t width, int32_t channels, float scale)
{
    for (int32_t b = 0; b < batches; b++)
    for (int32_t c = 0; c < channels; c++) {
        float sum = 0.0f;
        for (int32_t y = 0; y < height; y++)
        for (int32_t x = 0; x < width; x++)
            sum += input[(((ptrdiff_t)b * height + y) * width + x) * channels + c];
        *output++ = sum / (float)(height * width) * scale;
    }
}
#endif

void OF(reduce_max)(const T *input, T *output, const struct reduction *r)
{
    ptrdiff_t s[AXES];
    kept(r, s);
    for (int32_t i = 0; i < r->outputs; i++)
        output[i] = LOWEST;
    FOR_EACH_INPUT(r) {
        T x = *input++, *o = &output[PLACE(s)];
        *o = x > *o ? x : *o;
    }
}

/* Sums in scratch memory, wider than the elements; the output is set to 0 first. */
void OF(reduce_by_scratch)(const T *input, T *output, float *sums, const struct reduction *r,
                           float scale)
{
    ptrdiff_t s[AXES];
    kept(r, s);
    for (int32_t i = 0; i < r->outputs; i++) {
        output[i] = 0;
        sums[i] = 0.0f;
    }
    FOR_EACH_INPUT(r)
        sums[PLACE(s)] += REAL(*input++);
    for (int32_t i = 0; i < r->outputs; i++)
        output[i] = STORE(sums[i] / (float)r->each, scale * (IS_FLOAT ? 1.0f : 4.0f));
}

#if IS_FLOAT
void sum_float32(const float *input, float *output, const struct reduction *r)
{
    ptrdiff_t s[AXES];
    kept(r, s);
    for (int32_t i = 0; i < r->outputs; i++)
        output[i] = 0.0f;
    FOR_EACH_INPUT(r)
        output[PLACE(s)] += *input++;
}
#endif

#undef FOR_EACH_INPUT
#undef PLACE
