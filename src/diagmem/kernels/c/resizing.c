/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026, the diagmem authors
 *
 * Operators that resize a picture.  Rows and columns of the source are found in
 * 32-bit floats.
 */
#include <string.h>

#define TEMPLATE "resizing_of.h"
#include "for_types.h"
