/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026, the diagmem authors
 *
 * driver.h: what the generated call.c and driver.c know of each other.
 */
#ifndef DIAGMEM_DRIVER_H
#define DIAGMEM_DRIVER_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "diagmem.h"

struct dm_buffer {
    const char *name;
    DiagmemRole role;
};

/* Made for one kernel by diagmem.kernels.driver. */
extern const struct dm_buffer dm_buffers[];
extern const uint64_t dm_buffer_count;
extern const uint64_t dm_value_bytes;
extern const uint64_t dm_signature;

/* Unpack the values, call what comes before, open a window, call the kernel, close the window. */
int64_t dm_call(const unsigned char *values, unsigned char *const *address);

/* Ends the program where a call in front of the window did not return what it must. */
void dm_expect(const char *function, int64_t returned, int64_t expected);

/* Values are packed one behind the other, without the gaps C would leave. */
static inline void dm_take(const unsigned char **values, void *to, size_t bytes)
{
    memcpy(to, *values, bytes);
    *values += bytes;
}

/* A pointer is packed as the number of its buffer; -1 is a null pointer. */
static inline void *dm_pointer(const unsigned char **values, unsigned char *const *address)
{
    int32_t buffer;
    dm_take(values, &buffer, sizeof buffer);
    return buffer < 0 ? NULL : address[buffer];
}

#endif
