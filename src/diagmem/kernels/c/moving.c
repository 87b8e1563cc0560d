/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026, the diagmem authors
 *
 * Operators that put each element elsewhere.
 */
#include <string.h>

#define TEMPLATE "moving_of.h"
#include "for_types.h"
