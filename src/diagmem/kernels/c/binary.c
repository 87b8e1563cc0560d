/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026, the diagmem authors
 *
 * Operators on two elements, with broadcasting: an axis of one element serves
 * for the whole axis of the other tensor.
 */
#define TEMPLATE "binary_of.h"
#include "for_types.h"
