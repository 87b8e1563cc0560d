/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026, the diagmem authors
 *
 * Operators that reduce axes of a tensor.
 */
#define TEMPLATE "reducing_of.h"
#include "for_types.h"
