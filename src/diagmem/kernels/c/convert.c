/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026, the diagmem authors
 *
 * From one element type to another: QUANTIZE, DEQUANTIZE and CAST.
 */
#include <math.h>
#include <stdint.h>

#include "quantize.h"

#define CONVERT(NAME, FROM, TO, RESULT)                                              \
    void convert_##NAME(const FROM *input, TO *output, int32_t elements, float scale) \
    {                                                                                \
        for (int32_t i = 0; i < elements; i++)                                       \
            output[i] = (TO)(RESULT);                                                \
    }

CONVERT(float32_int8, float, int8_t, clamp_int32((int32_t)lrintf(input[i] * scale), INT8_MIN, INT8_MAX))
CONVERT(float32_int16, float, int16_t, clamp_int32((int32_t)lrintf(input[i] * scale), INT16_MIN, INT16_MAX))
CONVERT(float32_float32, float, float, input[i] * scale)
CONVERT(int8_float32, int8_t, float, (float)input[i] * scale)
CONVERT(int16_float32, int16_t, float, (float)input[i] * scale)
CONVERT(int8_int16, int8_t, int16_t, lrintf((float)input[i] * scale))
CONVERT(int16_int8, int16_t, int8_t, lrintf((float)input[i] * scale))
CONVERT(int8_int8, int8_t, int8_t, lrintf((float)input[i] * scale))
CONVERT(int16_int16, int16_t, int16_t, lrintf((float)input[i] * scale))
