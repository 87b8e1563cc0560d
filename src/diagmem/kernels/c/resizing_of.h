/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026, the diagmem authors
 *
 * resizing_of.h: over the output's pixels.
 */
#ifndef DIAGMEM_RESIZING_OF_H
#define DIAGMEM_RESIZING_OF_H

struct resize {
    int32_t batches, in_h, in_w, depth;
    int32_t out_h, out_w;
    int32_t align_corners, half_pixel_centers;
};

static inline float step_of(const struct resize *r, int32_t in, int32_t out)
{
    if (r->align_corners && out > 1)
        return (float)(in - 1) / (float)(out - 1);
    return (float)in / (float)out;
}

static inline int32_t nearest_of(const struct resize *r, int32_t i, int32_t in, int32_t out)
{
    float place = ((float)i + (r->half_pixel_centers ? 0.5f : 0.0f)) * step_of(r, in, out);
    int32_t found = (int32_t)(r->align_corners ? roundf(place) : floorf(place));
    return clamp_int32(found, 0, in - 1);
}

/* The two neighbours, and how far it is from the first to the second: for floats, and
 * for integers in 1/1024ths. */
static inline float between_floats(const struct resize *r, int32_t i, int32_t in, int32_t out,
                            int32_t *low, int32_t *high)
{
    float step = step_of(r, in, out);
    float place = r->half_pixel_centers ? ((float)i + 0.5f) * step - 0.5f : (float)i * step;
    int32_t below = (int32_t)floorf(place), above = (int32_t)ceilf(place);
    *low = below > 0 ? below : 0;
    *high = above < in - 1 ? above : in - 1;
    return place - (float)*low;
}

static inline float between_integers(const struct resize *r, int32_t i, int32_t in, int32_t out,
                                     int32_t *low, int32_t *high)
{
    int corners = r->align_corners && out > 1;
    int32_t part = corners ? in - 1 : in, whole = corners ? out - 1 : out;
    int32_t step = (1024 * part + whole / 2) / whole;
    int32_t place = i * step + (r->half_pixel_centers ? step / 2 - 512 : 0);
    *low = clamp_int32(place / 1024, 0, in - 1);
    *high = clamp_int32((place + 1023) / 1024, 0, in - 1);
    return (float)(place - 1024 * *low) / 1024.0f;
}

#endif

#if IS_FLOAT
#define BETWEEN between_floats
#else
#define BETWEEN between_integers
#endif

void OF(resize_nearest)(const T *input, T *output, const struct resize *r)
{
    size_t run = (size_t)r->depth * sizeof(T);
    for (int32_t b = 0; b < r->batches; b++)
    for (int32_t y = 0; y < r->out_h; y++) {
        int32_t row = b * r->in_h + nearest_of(r, y, r->in_h, r->out_h);
        for (int32_t x = 0; x < r->out_w; x++) {
            int32_t column = nearest_of(r, x, r->in_w, r->out_w);
            memcpy(output, input + ((ptrdiff_t)row * r->in_w + column) * r->depth, run);
            output += r->depth;
        }
    }
}

void OF(resize_bilinear)(const T *input, T *output, const struct resize *r)
{
    for (int32_t b = 0; b < r->batches; b++)
    for (int32_t y = 0; y < r->out_h; y++)
    for (int32_t x = 0; x < r->out_w; x++) {
        int32_t y0, y1, x0, x1;
        float dy = BETWEEN(r, y, r->in_h, r->out_h, &y0, &y1);
        float dx = BETWEEN(r, x, r->in_w, r->out_w, &x0, &x1);
        ptrdiff_t top = ((ptrdiff_t)b * r->in_h + y0) * r->in_w;
        ptrdiff_t bottom = ((ptrdiff_t)b * r->in_h + y1) * r->in_w;
        for (int32_t c = 0; c < r->depth; c++) {
            float v = REAL(input[(top + x0) * r->depth + c]) * (1.0f - dy) * (1.0f - dx)
                      + REAL(input[(bottom + x0) * r->depth + c]) * dy * (1.0f - dx)
                      + REAL(input[(top + x1) * r->depth + c]) * (1.0f - dy) * dx
                      + REAL(input[(bottom + x1) * r->depth + c]) * dy * dx;
            *output++ = STORE(v, 1.0f);
        }
    }
}

#undef BETWEEN
