/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026, the diagmem authors
 *
 * for_integers.h: includes TEMPLATE once for int8 and once for int16.
 *
 * There, T is the type, OF(name) the name of its variant and LOWEST the lowest element.
 */
#define T int8_t
#define OF(name) name##_int8
#define LOWEST INT8_MIN
#include TEMPLATE
#undef T
#undef OF
#undef LOWEST

#define T int16_t
#define OF(name) name##_int16
#define LOWEST INT16_MIN
#include TEMPLATE
#undef T
#undef OF
#undef LOWEST
