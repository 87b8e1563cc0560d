/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026, the diagmem authors */
#include "interface.h"

int arm_convolve_wrapper_s8(const context *ctx, const conv_params *p, const channel_quant *q,
                            const dims *in, const int8_t *input, const dims *f,
                            const int8_t *filter, const dims *bias_dims, const int32_t *bias,
                            const dims *out, int8_t *output)
{
    tile at, k;
    if ((ctx->size > 0 && !ctx->buf) || bias_dims->c != out->c || f->n != out->c || f->c != in->c)
        return -1;
    for (int32_t n = 0; n < out->n; n++)
        for (at.h = 0; at.h < out->h; at.h++)
            for (at.w = 0; at.w < out->w; at.w++)
                for (int32_t o = 0; o < out->c; o++) {
                    const int8_t *weight = filter + (size_t)(o * f->h * f->w * f->c);
                    int32_t sum = bias ? bias[o] : 0;
                    for (k.h = 0; k.h < f->h; k.h++)
                        for (k.w = 0; k.w < f->w; k.w++, weight += f->c) {
                            int32_t from = pixel(in, tap(at, k, p->stride, p->padding, p->dilation), n);
                            for (int32_t c = 0; from >= 0 && c < f->c; c++)
                                sum += weight[c] * (input[from + c] + p->in);
                        }
                    sum = scaled(sum, q->multiplier[o], q->shift[o]) + p->out;
                    *output++ = (int8_t)clamped(sum, p->act);
                }
    return 0;
}
