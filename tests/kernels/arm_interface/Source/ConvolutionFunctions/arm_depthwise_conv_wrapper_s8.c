/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026, the diagmem authors */
#include "interface.h"

int arm_depthwise_conv_wrapper_s8(const context *ctx, const dw_params *p, const channel_quant *q,
                                  const dims *in, const int8_t *input, const dims *f,
                                  const int8_t *filter, const dims *bias_dims, const int32_t *bias,
                                  const dims *out, int8_t *output)
{
    tile at, k;
    if ((ctx->size > 0 && !ctx->buf) || bias_dims->c != out->c || f->c != out->c || in->c * p->ch_mult != out->c)
        return -1;
    for (int32_t n = 0; n < out->n; n++)
        for (at.h = 0; at.h < out->h; at.h++)
            for (at.w = 0; at.w < out->w; at.w++)
                for (int32_t o = 0; o < out->c; o++) {
                    int32_t sum = bias ? bias[o] : 0;
                    for (k.h = 0; k.h < f->h; k.h++)
                        for (k.w = 0; k.w < f->w; k.w++) {
                            int32_t from = pixel(in, tap(at, k, p->stride, p->padding, p->dilation), n);
                            if (from >= 0)
                                sum += filter[(k.h * f->w + k.w) * f->c + o]
                                       * (input[from + o / p->ch_mult] + p->in);
                        }
                    sum = scaled(sum, q->multiplier[o], q->shift[o]) + p->out;
                    *output++ = (int8_t)clamped(sum, p->act);
                }
    return 0;
}
