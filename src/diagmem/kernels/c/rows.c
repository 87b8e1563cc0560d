/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026, the diagmem authors
 *
 * Operators that normalise rows, and the product of batches of matrices.
 */
#define TEMPLATE "rows_of.h"
#include "for_types.h"
