/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026, the diagmem authors
 *
 * Operators on single elements, one after the other.
 */
#define TEMPLATE "unary_of.h"
#include "for_types.h"
