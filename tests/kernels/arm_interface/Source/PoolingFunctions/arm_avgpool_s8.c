/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026, the diagmem authors */
#include "interface.h"

int arm_avgpool_s8(const context *ctx, const pool_params *p, const dims *in, const int8_t *input,
                const dims *f, const dims *out, int8_t *output)
{
    const tile ones = {1, 1};
    tile at, k;
    if ((ctx->size > 0 && !ctx->buf) || in->c != out->c)
        return -1;
    for (int32_t n = 0; n < in->n; n++)
        for (at.h = 0; at.h < out->h; at.h++)
            for (at.w = 0; at.w < out->w; at.w++)
                for (int32_t c = 0; c < out->c; c++) {
                    int32_t sum = 0, count = 0, found;
                    for (k.h = 0; k.h < f->h; k.h++)
                        for (k.w = 0; k.w < f->w; k.w++) {
                            int32_t from = pixel(in, tap(at, k, p->stride, p->padding, ones), n);
                            if (from >= 0) {
                                sum += input[from + c];
                                count++;
                            }
                        }
                    found = (sum + (sum > 0 ? count / 2 : -count / 2)) / count;
                    *output++ = (int8_t)clamped(found, p->act);
                }
    return 0;
}
