/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026, the diagmem authors
 *
 * moving_of.h: over the output, find the element that belongs there, read it,
 * write it; space_to_depth goes over the input.
 */
#ifndef DIAGMEM_MOVING_OF_H
#define DIAGMEM_MOVING_OF_H

struct part {
    int32_t extent[AXES];
    int32_t begin[AXES];
    int32_t size[AXES];
    int32_t stride[AXES];
    /* Whether what is taken from the last axis, side by side, is one memcpy. */
    int32_t copies_rows;
};

struct frame {
    int32_t extent[AXES];
    int32_t before[AXES], after[AXES];
    /* What a mirror does with the edge: 1 leaves it out, 0 repeats it. */
    int32_t edge;
};

struct order {
    int32_t extent[AXES];
    int32_t perm[AXES];
};

struct blocks {
    int32_t batches, height, width, depth;
    int32_t block_size;
};

static inline int32_t framed(const struct frame *f, int k)
{
    return f->before[k] + f->extent[k] + f->after[k];
}

/* Where along axis k of the input, -1 in the padding. */
static inline int32_t inside_frame(const struct frame *f, int k, int32_t i)
{
    int32_t place = i - f->before[k];
    return place >= 0 && place < f->extent[k] ? place : -1;
}

static inline int32_t mirrored(const struct frame *f, int k, int32_t i)
{
    int32_t place = i - f->before[k];
    if (place < 0)
        return -place - 1 + f->edge;
    return place < f->extent[k] ? place : 2 * f->extent[k] - 1 - place - f->edge;
}

#endif

void OF(pad)(const T *input, T *output, const struct frame *f)
{
    ptrdiff_t s[AXES];
    strides_of(f->extent, s);
    for (int32_t d0 = 0; d0 < framed(f, 0); d0++)
    for (int32_t d1 = 0; d1 < framed(f, 1); d1++)
    for (int32_t d2 = 0; d2 < framed(f, 2); d2++)
    for (int32_t d3 = 0; d3 < framed(f, 3); d3++)
    for (int32_t d4 = 0; d4 < framed(f, 4); d4++) {
        int32_t i0 = inside_frame(f, 0, d0), i1 = inside_frame(f, 1, d1);
        int32_t i2 = inside_frame(f, 2, d2), i3 = inside_frame(f, 3, d3);
        int32_t i4 = inside_frame(f, 4, d4);
        if (i0 < 0 || i1 < 0 || i2 < 0 || i3 < 0 || i4 < 0)
            *output++ = 0;
        else
            *output++ = input[i0 * s[0] + i1 * s[1] + i2 * s[2] + i3 * s[3] + i4 * s[4]];
    }
}

void OF(mirror_pad)(const T *input, T *output, const struct frame *f)
{
    ptrdiff_t s[AXES];
    strides_of(f->extent, s);
    for (int32_t d0 = 0; d0 < framed(f, 0); d0++)
    for (int32_t d1 = 0; d1 < framed(f, 1); d1++)
    for (int32_t d2 = 0; d2 < framed(f, 2); d2++)
    for (int32_t d3 = 0; d3 < framed(f, 3); d3++)
    for (int32_t d4 = 0; d4 < framed(f, 4); d4++)
        *output++ = input[mirrored(f, 0, d0) * s[0] + mirrored(f, 1, d1) * s[1]
                          + mirrored(f, 2, d2) * s[2] + mirrored(f, 3, d3) * s[3]
                          + mirrored(f, 4, d4) * s[4]];
}

void OF(strided_slice)(const T *input, T *output, const struct part *p)
{
    ptrdiff_t s[AXES];
    strides_of(p->extent, s);
    for (int32_t d0 = 0, i0 = p->begin[0]; d0 < p->size[0]; d0++, i0 += p->stride[0])
    for (int32_t d1 = 0, i1 = p->begin[1]; d1 < p->size[1]; d1++, i1 += p->stride[1])
    for (int32_t d2 = 0, i2 = p->begin[2]; d2 < p->size[2]; d2++, i2 += p->stride[2])
    for (int32_t d3 = 0, i3 = p->begin[3]; d3 < p->size[3]; d3++, i3 += p->stride[3]) {
        const T *row = input + i0 * s[0] + i1 * s[1] + i2 * s[2] + i3 * s[3];
        if (p->copies_rows) {
            memcpy(output, row + p->begin[4], (size_t)p->size[4] * sizeof(T));
            output += p->size[4];
            continue;
        }
        for (int32_t d4 = 0, i4 = p->begin[4]; d4 < p->size[4]; d4++, i4 += p->stride[4])
            *output++ = row[i4];
    }
}

void OF(transpose)(const T *input, T *output, const struct order *o)
{
    ptrdiff_t s[AXES];
    const int32_t *e = o->extent, *p = o->perm;
    strides_of(e, s);
    for (int32_t d0 = 0; d0 < e[p[0]]; d0++)
    for (int32_t d1 = 0; d1 < e[p[1]]; d1++)
    for (int32_t d2 = 0; d2 < e[p[2]]; d2++)
    for (int32_t d3 = 0; d3 < e[p[3]]; d3++)
    for (int32_t d4 = 0; d4 < e[p[4]]; d4++)
        *output++ = input[d0 * s[p[0]] + d1 * s[p[1]] + d2 * s[p[2]] + d3 * s[p[3]]
                          + d4 * s[p[4]]];
}

/* height, width and depth are the input's. */
void OF(space_to_depth)(const T *input, T *output, const struct blocks *b)
{
    int32_t n = b->block_size, out_h = b->height / n, out_w = b->width / n;
    for (int32_t batch = 0; batch < b->batches; batch++)
    for (int32_t y = 0; y < b->height; y++)
    for (int32_t x = 0; x < b->width; x++)
    for (int32_t d = 0; d < b->depth; d++) {
        ptrdiff_t place = ((ptrdiff_t)batch * out_h + y / n) * out_w + x / n;
        place = (place * n * n + (y % n) * n + x % n) * b->depth + d;
        output[place] = *input++;
    }
}

/* height, width and depth are the output's. */
void OF(depth_to_space)(const T *input, T *output, const struct blocks *b)
{
    int32_t n = b->block_size, in_h = b->height / n, in_w = b->width / n;
    for (int32_t batch = 0; batch < b->batches; batch++)
    for (int32_t y = 0; y < b->height; y++)
    for (int32_t x = 0; x < b->width; x++)
    for (int32_t d = 0; d < b->depth; d++) {
        ptrdiff_t place = ((ptrdiff_t)batch * in_h + y / n) * in_w + x / n;
        place = (place * n * n + (y % n) * n + x % n) * b->depth + d;
        *output++ = input[place];
    }
}
