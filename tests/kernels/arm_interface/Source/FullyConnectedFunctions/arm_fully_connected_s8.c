/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026, the diagmem authors */
#include "interface.h"

int arm_fully_connected_s8(const context *ctx, const fc_params *p, const tensor_quant *q,
                           const dims *in, const int8_t *input, const dims *f,
                           const int8_t *filter, const dims *bias_dims, const int32_t *bias,
                           const dims *out, int8_t *output)
{
    if ((ctx->size > 0 && !ctx->buf) || in->n != out->n || bias_dims->c != f->c || f->c != out->c)
        return -1;
    for (int32_t n = 0; n < out->n; n++, input += f->n)
        for (int32_t o = 0; o < out->c; o++) {
            int32_t sum = bias ? bias[o] : 0;
            for (int32_t k = 0; k < f->n; k++)
                sum += (filter[o * f->n + k] + p->filter) * (input[k] + p->in);
            sum = scaled(sum, q->multiplier, q->shift) + p->out;
            *output++ = (int8_t)clamped(sum, p->act);
        }
    return 0;
}
