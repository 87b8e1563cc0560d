/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026, the diagmem authors */
#include "interface.h"

int arm_convolve_wrapper_s8(const context *, const conv_params *, const channel_quant *,
                            const dims *, const int8_t *, const dims *, const int8_t *,
                            const dims *, const int32_t *, const dims *, int8_t *);

/* With an argument more than the wrapper has. */
int arm_convolve_s8(const context *ctx, const conv_params *p, const channel_quant *q,
                    const dims *in, const int8_t *input, const dims *f, const int8_t *filter,
                    const dims *bias_dims, const int32_t *bias, const dims *upscale,
                    const dims *out, int8_t *output)
{
    if (upscale)
        return -1;
    return arm_convolve_wrapper_s8(ctx, p, q, in, input, f, filter, bias_dims, bias, out, output);
}
