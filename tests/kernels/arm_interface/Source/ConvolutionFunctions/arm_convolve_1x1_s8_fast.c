/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026, the diagmem authors */
#include "interface.h"

/* Pixels innermost: each output channel reads the whole input again. */
int arm_convolve_1x1_s8_fast(const context *ctx, const conv_params *p, const channel_quant *q,
                             const dims *in, const int8_t *input, const dims *f,
                             const int8_t *filter, const dims *bias_dims, const int32_t *bias,
                             const dims *out, int8_t *output)
{
    int32_t pixels = in->n * in->h * in->w;
    if ((ctx->size > 0 && !ctx->buf) || bias_dims->c != out->c || f->c != out->c
        || p->stride.w * p->stride.h != 1 || p->padding.w + p->padding.h || out->n != in->n)
        return -1;
    for (int32_t o = 0; o < out->c; o++)
        for (int32_t n = 0; n < pixels; n++) {
            int32_t sum = bias ? bias[o] : 0;
            for (int32_t k = 0; k < in->c; k++)
                sum += filter[o * in->c + k] * (input[n * in->c + k] + p->in);
            sum = scaled(sum, q->multiplier[o], q->shift[o]) + p->out;
            output[n * out->c + o] = (int8_t)clamped(sum, p->act);
        }
    return 0;
}
